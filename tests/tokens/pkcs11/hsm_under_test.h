#pragma once

#include <p11-kit/pkcs11.h>

#include <filesystem>
#include <memory>
#include <string>
#include <utility>

#include "tests/tokens/pkcs11/device_hsm.h"
#include "tests/tokens/token_contract.h"

namespace devid::test {

/// SoftHSM for the contract suite, with the tap before it.
class HsmUnderTest final : public TokenUnderTest {
 public:
  /// `module` is what devid loads: the tap, or what loads that.
  explicit HsmUnderTest(std::filesystem::path module) : module_(std::move(module)) {}

  std::unique_ptr<Token> make_token() override {
    Pkcs11Spec spec = spec_of(device_.hsm().token());
    spec.store_certificates = true;
    return std::make_unique<Pkcs11Token>(spec);
  }
  [[nodiscard]] bool makes(KeyAlgorithm /*algorithm*/) const override { return true; }
  [[nodiscard]] std::string factory_key_location() const override { return device_.factory().location; }
  [[nodiscard]] std::string missing_key_location() const override { return hsm_location("ff"); }
  [[nodiscard]] std::string certificate_location() const override { return device_.factory().location; }
  [[nodiscard]] Bytes certificate() const override {
    return to_bytes(as_bytes(pem_to_der(device_.factory().certificate.certificate_pem)));
  }
  [[nodiscard]] std::string missing_certificate_location() const override { return hsm_location("ff"); }

  std::string foreign_pem() override {
    Pkcs11Token other(spec_of(device_.hsm().add_token("other")));
    const auto key = other.create_key({.label = "contract"});
    return key ? (*key)->pem() : key.error().sentence();
  }
  std::size_t keys_held() override { return device_.keys(); }
  void fail_once() override { device_.tap().fail("", CKR_HOST_MEMORY); }

 private:
  [[nodiscard]] Pkcs11Spec spec_of(const HsmToken& token) const {
    Pkcs11Spec spec = device_.spec(token);
    spec.module = module_;
    return spec;
  }

  DeviceHsm device_;
  std::filesystem::path module_;
};

}  // namespace devid::test
