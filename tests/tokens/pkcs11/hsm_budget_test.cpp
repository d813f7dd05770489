// What an enrollment costs an HSM, counted by OpenSC's pkcs11-spy, which is not ours.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <map>
#include <regex>
#include <set>

#include "tests/support/openssl_verify.h"
#include "tests/tokens/pkcs11/device_hsm.h"

namespace devid::test {
namespace {

class AnEnrollment : public testing::Test {
 protected:
  AnEnrollment() {
    ::setenv("PKCS11SPY", SoftHsm::module().c_str(), 1);
    ::setenv("PKCS11SPY_OUTPUT", log_.c_str(), 1);
    spec_.module = SoftHsm::spy();
    // The module is tried out in a process of its own, once for each process: not a cost of an enrollment.
    EXPECT_TRUE(Pkcs11Token(spec_).inspect());
    std::filesystem::resize_file(log_, 0);
  }

  [[nodiscard]] std::map<std::string, unsigned> calls() const {
    std::ifstream in(log_);
    const std::regex call("[0-9]+: (C_[A-Za-z]+)");
    std::map<std::string, unsigned> counts;
    for (std::string line; std::getline(in, line);)
      if (std::smatch match; std::regex_match(line, match, call)) ++counts[match[1]];
    return counts;
  }

  /// The spy opens its log once for each process.
  static std::filesystem::path log() {
    static const TemporaryDirectory directory;
    return directory.path() / "spy.log";
  }

  DeviceHsm device_;
  std::filesystem::path log_ = log();
  Pkcs11Spec spec_ = device_.spec();
};

/// What is not counted: loading the module, and looking for the slot and at attributes.
bool is_free(const std::string& function) {
  static const std::set<std::string> without{
      "C_Initialize", "C_Finalize",    "C_GetFunctionList", "C_GetInterface", "C_GetInterfaceList",
      "C_GetInfo",    "C_GetSlotList", "C_GetSlotInfo",     "C_GetTokenInfo", "C_GetAttributeValue"};
  return without.contains(function);
}

void expect_signs(PrivateKey& key) {
  const Bytes digest = a_digest(Digest::sha256);
  const auto signature = key.sign(digest, {});
  ASSERT_TRUE(signature) << told(signature);
  EXPECT_TRUE(verifies(key.public_key(), digest, {}, *signature));
}

TEST_F(AnEnrollment, TakesOneLoginAndAtMostTwelveOtherCalls) {
  Pkcs11Token token(spec_);
  const auto idevid = token.open_key_at(device_.factory().location);
  ASSERT_TRUE(idevid) << told(idevid);
  ASSERT_TRUE(token.read_certificate(device_.factory().location));
  const auto made = token.create_key({.label = "devid:gateway:1"});
  ASSERT_TRUE(made) << told(made);
  expect_signs(**made);    // the certification request
  expect_signs(**idevid);  // the TLS handshake
  const auto opened = token.open_key((*made)->pem());
  ASSERT_TRUE(opened) << told(opened);
  expect_signs(**opened);  // the proof that what was written down is the key

  const auto counts = calls();
  unsigned counted = 0;
  for (const auto& [function, count] : counts) {
    std::cout << "  " << function << ' ' << count << (is_free(function) ? " (not counted)" : "") << '\n';
    if (!is_free(function) && function != "C_Login") counted += count;
  }
  std::cout << "PKCS#11 calls of an enrollment: " << counts.at("C_Login") << " login, " << counted << " others\n";
  EXPECT_EQ(counts.at("C_Login"), 1U);
  EXPECT_LE(counted, 12U);
}

TEST_F(AnEnrollment, LogsInOnceForARenewalToo) {
  Pkcs11Token token(spec_);
  std::string pem;
  {
    const auto made = token.create_key({.label = "devid:gateway:1"});
    ASSERT_TRUE(made) << told(made);
    pem = (*made)->pem();
  }
  const auto current = token.open_key(pem);
  ASSERT_TRUE(current) << told(current);
  expect_signs(**current);
  const auto next = token.create_key({.label = "devid:gateway:2"});
  ASSERT_TRUE(next) << told(next);
  expect_signs(**next);
  EXPECT_TRUE(token.destroy_key(pem));
  EXPECT_EQ(calls().at("C_Login"), 1U);
}

}  // namespace
}  // namespace devid::test
