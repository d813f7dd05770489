#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::tpm {

/// The handle of the storage root key: the parent of every key that devid makes.
constexpr std::uint32_t storage_root_handle = 0x81000001;

/// A key as it is kept outside the TPM: of no use without the parent that wrapped it.
struct KeyBlob {
  Bytes public_area;   ///< TPM2B_PUBLIC with its size
  Bytes private_area;  ///< TPM2B_PRIVATE with its size, encrypted by the parent

  bool operator==(const KeyBlob& other) const = default;
};

/// "-----BEGIN TSS2 PRIVATE KEY-----", as tpm2-openssl and other software load it (draft-woodhouse-cert-best-practice,
/// TPMKey): the parent is the storage root key, the auth value is empty.
Result<std::string> write_tss2_pem(const KeyBlob& blob);

/// Reads what write_tss2_pem wrote, and what others write of the same kind. Strict: one PEM block and nothing else, DER
/// without anything after it, sizes that agree, the storage root key as parent, an empty auth value.
/// Error: token_wrong_key, with what is wrong as the reason.
Result<KeyBlob> read_tss2_pem(std::string_view pem);

}  // namespace devid::tpm
