#include "tests/support/tpm_factory.h"

#include <algorithm>
#include <stdexcept>
#include <vector>

#include "tests/support/command.h"

namespace devid::test {
namespace {

void require_simulator(const std::string& tcti) {
  if (!tcti.starts_with("swtpm:")) throw std::runtime_error("tests use simulators only, not " + tcti);
}

}  // namespace

ManufacturedTpm manufacture(const Swtpm& swtpm, const std::filesystem::path& directory, const FactoryHabits& habits) {
  std::vector<std::string> argv{DEVID_MANUFACTURE_TPM, "--template=" + habits.key_template, "--unique=" + habits.unique,
                                "--index=" + habits.index, "--padding=" + std::to_string(habits.padding)};
  if (!habits.persistent) argv.emplace_back("--not-persistent");
  if (!habits.user_with_auth) argv.emplace_back("--policy-only");
  argv.insert(argv.end(), {swtpm.tcti(), directory.string(), habits.serial_number});
  output_of({.argv = argv});
  ManufacturedTpm made{.certificate_location = "nv:" + habits.index,
                       .certificate = directory / "idevid.pem",
                       .manufacturer_ca = directory / "manufacturer-ca.pem"};
  if (!habits.persistent) made.key_location = "template:" + habits.key_template + "/" + habits.unique;
  return made;
}

ManufacturedTpm manufacture(const Swtpm& swtpm, const std::filesystem::path& directory,
                            const std::string& serial_number) {
  return manufacture(swtpm, directory, FactoryHabits{.serial_number = serial_number});
}

std::string run_tpm2(const std::string& tcti, const std::string& shell_command) {
  require_simulator(tcti);
  return output_of({.argv = {"bash", "-euo", "pipefail", "-c", shell_command},
                    .environment = {"TPM2TOOLS_TCTI=" + tcti, "TPM2OPENSSL_TCTI=" + tcti}});
}

std::size_t count_handles(const std::string& tcti, const std::string& kind) {
  const std::string list = run_tpm2(tcti, "tpm2_getcap handles-" + kind);
  return static_cast<std::size_t>(std::ranges::count(list, '\n'));
}

}  // namespace devid::test
