#pragma once

#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <vector>

#include "tests/dbus/hsm_device.h"
#include "tests/support/libest_server.h"

namespace devid::test {

/// Where the device keeps its keys.
enum class InteropToken { swtpm, softhsm };
/// "swtpm" …
std::string name_of(InteropToken token);
void PrintTo(InteropToken token, std::ostream* out);

/// A device whose operator runs libest's server: the CAs are those of Device, and its own EST server is not used.
class LibestSite {
 public:
  explicit LibestSite(InteropToken token);

  [[nodiscard]] Device& device() { return hsm_device_ ? hsm_device_->device() : *device_; }
  [[nodiscard]] LibestServer& server() { return *server_; }

  /// Starts the server, or another one in its place at its port, and writes the profile "gateway" for it: `more` are
  /// other settings of [server], then other tables. Unless the habits say otherwise, the server asks for a hardware
  /// address in /csrattrs.
  void serve(LibestHabits habits = {}, const std::string& more = {});

  /// The CRLs of the operator's CAs (LibestHabits::crls), once the operator has revoked `certificate`.
  [[nodiscard]] std::vector<std::filesystem::path> revoke(const std::filesystem::path& certificate);

  /// What is wrong with the current credential, or "": openssl verifies it, and its key signs in the token.
  [[nodiscard]] std::string flaw_of_credential();

 private:
  InteropToken token_;
  TemporaryDirectory directory_;
  std::unique_ptr<HsmDevice> hsm_device_;
  std::unique_ptr<Device> device_;
  TestCredential server_credential_;
  std::unique_ptr<LibestServer> server_;
};

/// One line of what works with whom, for tests/interop/interop-table. Says "yes" when the test that made it has passed
/// until its end, "no" otherwise.
class InteropRow {
 public:
  InteropRow(std::string peer, std::string what, std::string token);
  InteropRow(const InteropRow&) = delete;
  InteropRow& operator=(const InteropRow&) = delete;
  InteropRow(InteropRow&&) = delete;
  InteropRow& operator=(InteropRow&&) = delete;
  ~InteropRow();

 private:
  std::string line_;
};

}  // namespace devid::test
