#pragma once

#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "agent/identity/discovery.h"
#include "tests/support/fake_token.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::test {

/// The manufacturer that all tests of a process share: openssl takes its time.
inline TestPki& manufacturer() {
  static TestPki pki;
  static const TestCredential made = pki.make_ca("manufacturer");
  return pki;
}

/// A device with a TPM and an HSM, in which a test puts keys and certificates.
class ADevice : public testing::Test {
 protected:
  ADevice() {
    tokens_.emplace("tpm", std::make_unique<FakeToken>(tpm_, "tpm", "tpm2"));
    tokens_.emplace("hsm", std::make_unique<FakeToken>(hsm_, "hsm", "pkcs11"));
  }

  /// The PEM of a certificate for a key.
  static std::string certificate_for(const PublicKey& key, const std::string& name = "device",
                                     std::optional<Time> not_after = {}) {
    return manufacturer()
        .issue({.issuer = "manufacturer",
                .subject = "/serialNumber=" + name,
                .not_after = not_after,
                .public_key = public_key_pem(std::string(as_text(key.spki)))})
        .certificate_pem;
  }

  /// A key at a place, and its certificate at another one.
  static std::string put(FakeHardware& hardware, const std::string& key, const std::string& certificate,
                         const std::string& name = "device", KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    std::string pem = certificate_for(hardware.put_key(key, algorithm), name);
    hardware.put_certificate(certificate, to_bytes(as_bytes(pem)));
    return pem;
  }

  [[nodiscard]] std::filesystem::path write(const std::string& name, const std::string& content) const {
    const auto file = directory_.path() / name;
    std::ofstream(file) << content;
    return file;
  }

  [[nodiscard]] identity::Search search(identity::IdevidLocation wanted = {}) const {
    return {.tokens = tokens_, .wanted = std::move(wanted), .files = files_, .now = now_};
  }
  [[nodiscard]] identity::Discovery look(identity::IdevidLocation wanted = {}) const {
    const identity::Search looked = search(std::move(wanted));
    return identity::discover(looked);
  }

  FakeHardware tpm_;
  FakeHardware hsm_;
  Tokens tokens_;
  std::vector<std::filesystem::path> files_;
  Time now_ = SystemClock().now();
  TemporaryDirectory directory_;
};

/// What a search on it says.
class ADiscovery : public ADevice {
 protected:
  static identity::Evidence row(const identity::Discovery& discovery, const std::string& location) {
    for (const identity::Evidence& row : discovery.evidence)
      if (row.location == location) return row;
    ADD_FAILURE() << "no evidence of " << location;
    return {};
  }
  static identity::IdevidPlace place(const identity::Discovery& discovery) {
    EXPECT_TRUE(discovery.idevid) << discovery.idevid.error().sentence();
    return discovery.idevid ? discovery.idevid->place : identity::IdevidPlace{};
  }
  static Error error(const identity::Discovery& discovery) {
    EXPECT_FALSE(discovery.idevid);
    EXPECT_FALSE(discovery.advice.empty());
    return discovery.idevid ? Error{} : discovery.idevid.error();
  }
};

}  // namespace devid::test
