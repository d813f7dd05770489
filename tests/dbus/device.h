#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/support/command.h"
#include "tests/support/est_server.h"
#include "tests/support/private_bus.h"
#include "tests/support/swtpm.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"
#include "tests/support/tpm_factory.h"
#include "tests/support/tpm_tap.h"

namespace devid::test {

/// How a device differs from the usual one.
struct DeviceSpec {
  Seconds lifetime{86400};  ///< of the certificates that the operator's CA issues
  TlsVersion tls = TlsVersion::any;
  unsigned idle_timeout = 600;  ///< of devidd, seconds
  bool use_tap = true;          ///< the TPM is reached through the tap
  FactoryHabits factory;        ///< how its TPM was given the IDevID
  bool has_idevid = true;       ///< in its TPM
  std::string configuration;    ///< more of devid.toml

  std::vector<std::string> environment = {};  ///< of devidd, besides ours: "NAME=value"
  std::vector<std::string> options = {};      ///< of devidd, besides the usual ones
  std::string server_address = "127.0.0.1";   ///< of the EST server, which is a name in its certificate
  std::function<void(const std::function<void()>&)> where_the_server_is = [](const auto& start) { start(); };
};

/// A device as it stands in the field, with everything real: an IDevID in a simulated TPM, the operator's EST server, a
/// system bus, and devidd started by it. The identity "gateway" has a profile and is not enrolled yet.
class Device {
 public:
  explicit Device(DeviceSpec spec = {});
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;
  Device(Device&&) = delete;
  Device& operator=(Device&&) = delete;
  /// Ends devidd. What a sanitizer had to say about it fails the test.
  ~Device();

  /// Runs devidctl.
  [[nodiscard]] Outcome ctl(std::vector<std::string> arguments) const;
  /// One identity as `devidctl status --json` shows it. Throws std::runtime_error if it is not there.
  [[nodiscard]] nlohmann::json status(const std::string& name = "gateway") const;

  /// Writes identities.d/NAME.toml. `more` follows the usual tables, `top` goes before them.
  void write_profile(const std::string& name, const std::string& more = {}, const std::string& top = {}) const;
  void write_configuration(const std::string& file, const std::string& content) const;

  [[nodiscard]] std::filesystem::path configuration() const { return directory_.path() / "etc"; }
  [[nodiscard]] std::filesystem::path state() const { return directory_.path() / "var"; }
  [[nodiscard]] std::filesystem::path current(const std::string& name = "gateway") const {
    return state() / name / "current";
  }
  [[nodiscard]] std::filesystem::path operator_root() const { return pki_.ca("operator root").certificate; }

  /// Whose IDevIDs the operator knows: the TPM's manufacturer and "hsm manufacturer", PEM.
  [[nodiscard]] const std::filesystem::path& manufacturers() const { return manufacturers_; }

  [[nodiscard]] Swtpm& swtpm() { return swtpm_; }
  [[nodiscard]] TpmTap& tap() { return tap_; }
  [[nodiscard]] EstServer& server() { return *server_; }
  [[nodiscard]] const PrivateBus& bus() const { return *bus_; }
  /// The EST server trusts the IDevIDs of the TPM's manufacturer, and those of the CA "hsm manufacturer" here.
  [[nodiscard]] TestPki& pki() { return pki_; }

  /// Ends the EST server, or starts it again at the same port.
  void stop_server() { server_.reset(); }
  void start_server();
  /// Starts it again, and from now on always, with what `change` makes of what it usually is.
  void change_server(std::function<void(EstServerSpec&)> change);

 private:
  DeviceSpec spec_;
  TemporaryDirectory directory_;
  TestPki pki_;
  Swtpm swtpm_;
  TpmTap tap_;
  std::filesystem::path manufacturers_;
  std::uint16_t server_port_ = 0;
  std::unique_ptr<EstServer> server_;
  std::function<void(EstServerSpec&)> change_;
  std::unique_ptr<PrivateBus> bus_;
};

/// What must hold for `current` at every instant, once there was one: a certificate that the openssl command verifies
/// through chain.pem against the operator's root, a token-key.pem of the same public key if it holds one (TSS2), and
/// the files that follow from these. Returns what is wrong, or "".
std::string flaw_of_current(const std::filesystem::path& current, const std::filesystem::path& root);

/// token-key.pem signs for certificate.pem: in the TPM at `tcti`, by tpm2-tools. Returns what is wrong, or "".
std::string flaw_of_key(const std::filesystem::path& current, const std::string& tcti);

}  // namespace devid::test
