#include "tests/support/tpm_factory.h"

#include <algorithm>
#include <stdexcept>

#include "tests/support/command.h"

namespace devid::test {
namespace {

void require_simulator(const std::string& tcti) {
  if (!tcti.starts_with("swtpm:")) throw std::runtime_error("tests use simulators only, not " + tcti);
}

}  // namespace

ManufacturedTpm manufacture(const Swtpm& swtpm, const std::filesystem::path& directory,
                            const std::string& serial_number) {
  output_of({.argv = {DEVID_MANUFACTURE_TPM, swtpm.tcti(), directory.string(), serial_number}});
  return {.certificate = directory / "idevid.pem", .manufacturer_ca = directory / "manufacturer-ca.pem"};
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
