#pragma once

#include <sys/types.h>

#include <cstdint>
#include <filesystem>
#include <string>

#include "tests/support/temporary_directory.h"

namespace devid::test {

/// A TPM simulator of this test's own: free loopback ports, its own state, gone with the object (or with the test, if
/// that dies). Throws std::runtime_error if swtpm cannot be started: tests do not run without it.
class Swtpm {
 public:
  enum class Startup { done, missing };  ///< whether TPM2_Startup was done for the test

  explicit Swtpm(Startup startup = Startup::done);
  Swtpm(const Swtpm&) = delete;
  Swtpm& operator=(const Swtpm&) = delete;
  Swtpm(Swtpm&&) = delete;
  Swtpm& operator=(Swtpm&&) = delete;
  ~Swtpm();

  /// "swtpm:host=127.0.0.1,port=P"
  [[nodiscard]] std::string tcti() const;
  /// The port for commands; the one for control is the next.
  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] const std::filesystem::path& state_directory() const { return directory_.path(); }

  /// Ends it; the state stays on disk.
  void stop();
  /// Starts it again at the same ports with the same state: a reboot of the device.
  void start();
  void restart();

 private:
  bool try_start();

  Startup startup_;
  TemporaryDirectory directory_;
  std::uint16_t port_ = 0;
  pid_t pid_ = -1;
};

/// The TCTI string of a swtpm at a loopback port.
std::string swtpm_tcti(std::uint16_t port);

}  // namespace devid::test
