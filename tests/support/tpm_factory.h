#pragma once

#include <cstddef>
#include <filesystem>
#include <string>

#include "base/bytes.h"
#include "tests/support/swtpm.h"

namespace devid::test {

/// What a factory puts into a device, and where.
struct ManufacturedTpm {
  std::string key_location = "handle:0x81020000";
  std::string certificate_location = "nv:0x01c90200";
  std::filesystem::path certificate;      ///< the IDevID certificate, PEM
  std::filesystem::path manufacturer_ca;  ///< its issuer, PEM
};

/// How a factory makes IDevIDs: where they differ.
struct FactoryHabits {
  std::string serial_number = "DEV-0001";
  std::string key_template = "H-2";  ///< of the TCG: H-1 to H-4
  std::string unique = "both";       ///< as tokens/tpm/idevid_template.h names the forms
  bool persistent = true;            ///< or the key is to be derived again from its template
  bool user_with_auth = true;        ///< or the key is used with a policy only
  std::string index = "0x01c90200";  ///< of the certificate in NV
  std::size_t padding = 0;           ///< octets after the certificate
};

/// Gives a fresh swtpm an IDevID with tests/support/manufacture-tpm. The files go to `directory`, where a manufacturer
/// CA that is there already is used again. Throws std::runtime_error.
ManufacturedTpm manufacture(const Swtpm& swtpm, const std::filesystem::path& directory, const FactoryHabits& habits);
ManufacturedTpm manufacture(const Swtpm& swtpm, const std::filesystem::path& directory,
                            const std::string& serial_number = "DEV-0001");

/// Runs a tpm2-tools command (as one shell command line) on a simulator and returns its output. Throws
/// std::runtime_error if it fails, or if `tcti` is no simulator.
std::string run_tpm2(const std::string& tcti, const std::string& shell_command);

/// The handles that `tpm2_getcap handles-KIND` lists: "transient", "persistent", "loaded-session".
std::size_t count_handles(const std::string& tcti, const std::string& kind);

}  // namespace devid::test
