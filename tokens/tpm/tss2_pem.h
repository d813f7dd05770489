#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::tpm {

/// The handle that the TCG gives to the storage root key: the parent of devid's keys, if nothing else is configured.
constexpr std::uint32_t storage_root_handle = 0x81000001;

/// A key as it is kept outside the TPM: of no use without the parent that wrapped it.
struct KeyBlob {
  Bytes public_area;   ///< TPM2B_PUBLIC with its size
  Bytes private_area;  ///< TPM2B_PRIVATE with its size, encrypted by the parent
  std::uint32_t parent =
      storage_root_handle;          ///< a persistent handle, or TPM2_RH_OWNER for one that is made when needed
  bool has_auth_value = false;      ///< it does not sign without
  std::optional<Bytes> pcr_policy;  ///< what TPM2_PolicyPCR is told before it signs: pcr.h

  bool operator==(const KeyBlob& other) const = default;
};

/// "-----BEGIN TSS2 PRIVATE KEY-----", as tpm2-openssl and other software load it (draft-bottomley-tpm2-keys, TPMKey).
/// Without an auth value emptyAuth is TRUE, with one it is FALSE, and there: others take its absence for either.
Result<std::string> write_tss2_pem(const KeyBlob& blob);

/// Reads what write_tss2_pem wrote, and what others write of the same kind. Strict: one PEM block and nothing else, DER
/// without anything after it, sizes that agree, a persistent handle or the owner hierarchy as parent, and a policy of
/// one TPM2_PolicyPCR if any. Error: token_wrong_key, with what is wrong as the reason.
Result<KeyBlob> read_tss2_pem(std::string_view pem);

}  // namespace devid::tpm
