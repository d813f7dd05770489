#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/secret_source.h"

namespace devid {

/// Where everything is. Tests and the demo point it at a directory of their own.
struct Paths {
  std::filesystem::path configuration = "/etc/devid";  ///< devid.toml and identities.d
  std::filesystem::path vendor_configuration =
      "/usr/lib/devid";  ///< identities.d; the same file name under `configuration` wins
  std::filesystem::path state = "/var/lib/devid";
};

/// [tpm]: the token "tpm".
struct TpmConfiguration {
  std::string tcti = "device:/dev/tpmrm0";
  /// `srk`: the persistent handle of the storage root key; none ("transient"): made anew when it is needed, for owners
  /// who forbid devid to make anything persistent.
  std::optional<std::uint32_t> storage_root = 0x81000001;
  std::optional<SecretSource> owner_auth;         ///< of the owner hierarchy; none: empty
  std::optional<SecretSource> endorsement_auth;   ///< of the endorsement hierarchy; none: empty
  std::optional<SecretSource> storage_root_auth;  ///< `srk_auth`, of the storage root key; none: empty
  std::optional<SecretSource> key_auth;           ///< of devid's keys, for profiles that want AuthValue
  bool operator==(const TpmConfiguration&) const = default;
};

/// [pkcs11.NAME]: a token of that name, or a token that a profile names by its URI.
struct Pkcs11Configuration {
  std::string name;
  std::string uri;                  ///< RFC 7512; its pin-source and module-path give way to the next two
  std::filesystem::path module;     ///< empty: the module-path of the URI
  std::optional<SecretSource> pin;  ///< none: the pin-source of the URI
  bool store_certificates = false;  ///< write each LDevID beside its key
  bool operator==(const Pkcs11Configuration&) const = default;
};

/// The global configuration, devid.toml(5).
struct Configuration {
  TpmConfiguration tpm;
  std::vector<Pkcs11Configuration> pkcs11;                 ///< by name; Agent adds those that profiles name by URI
  std::vector<std::filesystem::path> idevid_certificates;  ///< [idevid] certificates: files to look into
  bool operator==(const Configuration&) const = default;
};

}  // namespace devid
