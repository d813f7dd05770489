#pragma once

#include <filesystem>
#include <string>

namespace devid {

/// Where everything is. Tests and the demo point it at a directory of their own.
struct Paths {
  std::filesystem::path configuration = "/etc/devid";  ///< devid.toml and identities.d
  std::filesystem::path vendor_configuration =
      "/usr/lib/devid";  ///< identities.d; the same file name under `configuration` wins
  std::filesystem::path state = "/var/lib/devid";
};

/// The global configuration, devid.toml(5).
struct Configuration {
  std::string tcti = "device:/dev/tpmrm0";  ///< [tpm] tcti
  bool operator==(const Configuration&) const = default;
};

}  // namespace devid
