#pragma once

#include <tss2/tss2_common.h>

#include <string_view>

#include "base/result.h"

namespace devid::tpm {

/// How one call of tpm2-tss ended.
struct [[nodiscard]] Call {
  std::string_view name;  ///< "Esys_Sign"
  TSS2_RC rc = TSS2_RC_SUCCESS;

  [[nodiscard]] bool ok() const { return rc == TSS2_RC_SUCCESS; }
};

/// A failed call as an Error: what it means to the caller, and as the reason the call, the code in hexadecimal and the
/// library's text. The one place where tpm2-tss's and the TPM's response codes become ours.
Error to_error(const Call& call);

/// The TPM's own code without the layer that passed it on and without the number of the parameter, handle or session
/// that it is about: 0x98e becomes 0x08e. Zero if the code is not the TPM's.
TSS2_RC base_code(TSS2_RC rc);

/// The TPM asks to send the command again later: 0x920, 0x922, 0x923, 0x904, 0x908 to 0x90a.
bool is_busy(TSS2_RC rc);
/// All slots for loaded objects, or for sessions, are taken.
bool is_out_of_slots(TSS2_RC rc);
/// The connection is of no use any more: the TPM was away, or ESYS lost its place.
bool is_lost(TSS2_RC rc);
/// A session that the command refers to is not there (the TPM was reset, or somebody flushed it).
bool is_missing_session(TSS2_RC rc);
/// An object that the command refers to by handle is not there.
bool is_missing_object(TSS2_RC rc);
/// The authorization was refused. Besides a wrong value this is how it shows that another object is at the handle.
bool is_auth_failure(TSS2_RC rc);
/// The TPM did not like a parameter, a handle or a session (format one), as opposed to its own state.
bool is_about_the_request(TSS2_RC rc);
/// The TPM lacks the algorithm, the curve or the key size.
bool is_unsupported(TSS2_RC rc);

}  // namespace devid::tpm
