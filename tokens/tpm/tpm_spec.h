#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/secret_source.h"

namespace devid {

/// Which TPM, under which name profiles know it, and where its secrets are. They are read when they are needed.
struct TpmSpec {
  std::string tcti = "device:/dev/tpmrm0";  ///< as Tss2_TctiLdr_Initialize reads it: "swtpm:host=127.0.0.1,port=2321"
  std::string name = "tpm";
  /// The persistent handle of the storage root key; none: it is made anew when it is needed, and nothing is persistent.
  std::optional<std::uint32_t> storage_root = 0x81000001;
  std::optional<SecretSource> owner_auth;         ///< of the owner hierarchy; none: empty
  std::optional<SecretSource> endorsement_auth;   ///< of the endorsement hierarchy; none: empty
  std::optional<SecretSource> storage_root_auth;  ///< of a persistent storage root key; none: empty
  /// Of keys that were made with AuthValue. At most as long as the digest of the key's kind: 32 bytes for P-256 and
  /// RSA. A file that is not there is made, with 128 random bits as 32 hexadecimal digits, when the first such key is
  /// made. A value of fewer than 32 bytes may be guessed: keys that are made with it are subject to the TPM's lockout.
  std::optional<SecretSource> key_auth;
};

}  // namespace devid
