#pragma once

#include <tss2/tss2_esys.h>

#include <utility>

#include "tokens/tpm/context.h"

namespace devid::tpm {

/// Which parameters of a command travel encrypted over the bus. The TPM can encrypt the first one only, and only if it
/// is a sized buffer.
enum class Encrypt { command, command_and_response };

/// A salted HMAC session: authorizes commands without sending auth values, shows changed commands and answers, and
/// encrypts parameters with AES-128-CFB. The salt is encrypted to the SRK.
class Session {
 public:
  static Result<Session> start(Context& context, ESYS_TR storage_key);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&& other) noexcept : context_(other.context_), tr_(std::exchange(other.tr_, ESYS_TR_NONE)) {}
  Session& operator=(Session&&) = delete;
  ~Session();

  /// The session, set up for the next command; it stays alive after it.
  ESYS_TR for_command(Encrypt encrypt);

  /// For a session that the TPM no longer has.
  void abandon();

 private:
  Session(Context& context, ESYS_TR tr) : context_(&context), tr_(tr) { context.hold(tr); }

  Context* context_;
  ESYS_TR tr_;
};

}  // namespace devid::tpm
