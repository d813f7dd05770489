#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/secret_source.h"
#include "tests/support/pkcs11_tap.h"
#include "tests/support/softhsm.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"
#include "tokens/pkcs11/pkcs11_token.h"

namespace devid::test {

/// What an error says, code first, for a test's output: "TokenFull: cannot …".
template <class T>
std::string told(const Result<T>& result) {
  return result ? "no error" : std::string(code_name(result.error().code)) + ": " + result.error().sentence();
}

/// The code of what failed; none of a success.
template <class T>
std::optional<Errc> code_of(const Result<T>& result) {
  return result ? std::nullopt : std::optional(result.error().code);
}

/// A device with an HSM into which the factory put an IDevID, and with the tap in between.
class DeviceHsm {
 public:
  DeviceHsm() {
    pki_.make_ca("Manufacturer");
    factory_ = hsm_.manufacture(pki_, "Manufacturer");
  }

  [[nodiscard]] Pkcs11Spec spec() const { return spec(hsm_.token()); }
  [[nodiscard]] Pkcs11Spec spec(const HsmToken& token) const {
    return {.name = "hsm",
            .uri = token.uri(),
            .module = Pkcs11Tap::module(),
            .pin = SecretFile{.path = token.pin_file},
            .probe = DEVID_PKCS11_PROBE,
            .state_directory = directory_.path() / "state"};
  }
  [[nodiscard]] std::unique_ptr<Token> make_token() const { return std::make_unique<Pkcs11Token>(spec()); }

  SoftHsm& hsm() { return hsm_; }
  Pkcs11Tap& tap() { return tap_; }
  TestPki& pki() { return pki_; }
  [[nodiscard]] const ManufacturedHsm& factory() const { return factory_; }
  [[nodiscard]] std::size_t keys() const { return hsm_.count(hsm_.token(), "Private Key"); }
  [[nodiscard]] std::size_t objects() const {
    return keys() + hsm_.count(hsm_.token(), "Public Key") + hsm_.count(hsm_.token(), "Certificate");
  }

 private:
  TemporaryDirectory directory_;
  TestPki pki_;
  SoftHsm hsm_;
  Pkcs11Tap tap_{SoftHsm::module()};
  ManufacturedHsm factory_;
};

}  // namespace devid::test
