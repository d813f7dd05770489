#include <gtest/gtest.h>

#include "tests/support/fake_token.h"
#include "tests/tokens/token_contract.h"

namespace devid::test {
namespace {

const Error broken{.code = Errc::token_unreachable, .retry = Retry::later, .what = "told to fail"};

class FakeTokenUnderTest final : public TokenUnderTest {
 public:
  FakeTokenUnderTest() {
    hardware_.put_key("fake:factory-key", KeyAlgorithm::ec_p256);
    hardware_.put_certificate("fake:certificate", certificate());
  }

  std::unique_ptr<Token> make_token() override { return std::make_unique<FakeToken>(hardware_); }
  [[nodiscard]] bool makes(KeyAlgorithm /*algorithm*/) const override { return true; }
  [[nodiscard]] std::string factory_key_location() const override { return "fake:factory-key"; }
  [[nodiscard]] std::string missing_key_location() const override { return "fake:nothing"; }
  [[nodiscard]] std::string certificate_location() const override { return "fake:certificate"; }
  [[nodiscard]] Bytes certificate() const override { return to_bytes(as_bytes("any octets")); }
  [[nodiscard]] std::string missing_certificate_location() const override { return "fake:nothing"; }
  std::string foreign_pem() override { return FakeToken(other_).create_key({}).value()->pem(); }
  std::size_t keys_held() override { return hardware_.made_keys() + hardware_.factory_keys(); }
  void fail_once() override { hardware_.fail_nth(1, broken); }

 private:
  FakeHardware hardware_;
  FakeHardware other_;
};

TEST(AFakeToken, FailsTheOperationThatItWasToldToAndNoOther) {
  FakeHardware hardware;
  FakeToken token(hardware);
  hardware.fail_nth(2, broken);
  EXPECT_TRUE(token.list_keys());
  EXPECT_EQ(token.create_key({}).error().code, Errc::token_unreachable);
  EXPECT_TRUE(token.create_key({}));
  EXPECT_EQ(hardware.made_keys(), 1U);
}

TEST(AFakeToken, FailsUntilItRecovers) {
  FakeHardware hardware;
  FakeToken token(hardware);
  hardware.fail_all(broken);
  for (int turn = 0; turn < 3; ++turn) EXPECT_EQ(token.list_keys().error().code, Errc::token_unreachable);
  hardware.recover();
  EXPECT_TRUE(token.list_keys());
  EXPECT_EQ(hardware.count(Operation::list_keys), 4U);
  EXPECT_EQ(hardware.operations(), 4U);
}

TEST(AFakeToken, DoesNotSignWithTheKeyThatTookThePlaceOfItsOwn) {
  FakeHardware hardware;
  FakeToken token(hardware);
  hardware.put_key("fake:key", KeyAlgorithm::ec_p256);
  const auto key = token.open_key_at("fake:key");
  ASSERT_TRUE(key);
  hardware.put_key("fake:key", KeyAlgorithm::ec_p256);
  EXPECT_EQ((*key)->sign(Bytes(32), {}).error().code, Errc::token_wrong_key);
}

}  // namespace

std::unique_ptr<TokenUnderTest> make_token_under_test() { return std::make_unique<FakeTokenUnderTest>(); }

}  // namespace devid::test
