#pragma once

#include <filesystem>
#include <string>

#include "tests/dbus/device.h"
#include "tests/support/softhsm.h"

namespace devid::test {

/// A device with an HSM besides its TPM: the token "hsm". The IDevID in it, if any, has the CKA_ID 01.
class HsmDevice {
 public:
  enum class Idevid { in_hsm, in_tpm };

  /// `module` is loaded instead of SoftHSM's, and has to find that by itself (pkcs11-spy, the tap).
  explicit HsmDevice(Idevid idevid, const std::filesystem::path& module = SoftHsm::module());

  [[nodiscard]] Device& device() { return device_; }
  [[nodiscard]] SoftHsm& hsm() { return hsm_; }

  /// The key that token-key.pem names, used by pkcs11-tool, is that of certificate.pem. Returns what is wrong, or "".
  [[nodiscard]] std::string flaw_of_key(const std::filesystem::path& current) const;
  /// The certificate object beside that key is certificate.pem.
  [[nodiscard]] std::string flaw_of_stored_certificate(const std::filesystem::path& current) const;
  /// The CKA_ID, in hex, of the key that token-key.pem names; empty if it names none.
  static std::string key_id(const std::filesystem::path& current);

 private:
  SoftHsm hsm_;  // first: devidd finds it through the environment
  Device device_;
};

}  // namespace devid::test
