// A PIN is tried once. What the token counts is counted here with the tap, which sees every C_Login.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include <fstream>

#include "tests/support/openssl_verify.h"
#include "tests/tokens/pkcs11/device_hsm.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* wrong_pin = "000000wrong";

class APin : public testing::Test {
 protected:
  void write(const std::string& pin) { SoftHsm::write_pin_file(device_.hsm().token(), pin); }
  Result<std::unique_ptr<PrivateKey>> try_to_make_a_key() { return device_.make_token()->create_key({}); }
  std::size_t logins() { return device_.tap().calls("C_Login"); }

  DeviceHsm device_;
};

TEST_F(APin, ThatIsWrongIsTriedOnce) {
  write(wrong_pin);
  Pkcs11Token token(device_.spec());
  for (int turn = 0; turn < 4; ++turn) {
    const auto key = token.create_key({});
    EXPECT_EQ(code_of(key), Errc::token_auth_failed) << told(key);
    if (!key) {
      EXPECT_EQ(key.error().retry, Retry::after_operator);
    }
  }
  EXPECT_EQ(code_of(token.open_key_at(device_.factory().location)), Errc::token_auth_failed);
  EXPECT_EQ(logins(), 1U);
}

TEST_F(APin, ThatIsWrongIsNotTriedAgainAfterARestart) {
  write(wrong_pin);
  for (int restart = 0; restart < 4; ++restart)
    EXPECT_EQ(code_of(try_to_make_a_key()), Errc::token_auth_failed) << restart;
  EXPECT_EQ(logins(), 1U);
}

TEST_F(APin, ThatIsWrongIsTriedOnceForATokenThatHasTwoNames) {
  write(wrong_pin);
  Pkcs11Spec spec = device_.spec();
  spec.name = "another";
  spec.uri += ";serial=" + device_.make_token()->inspect()->serial_number;
  Pkcs11Token other(spec);
  for (int turn = 0; turn < 2; ++turn) {
    EXPECT_EQ(code_of(try_to_make_a_key()), Errc::token_auth_failed);
    EXPECT_EQ(code_of(other.create_key({})), Errc::token_auth_failed);
  }
  EXPECT_EQ(logins(), 1U);
}

TEST_F(APin, IsNotTriedWhereItCouldNotBeNotedAsWrong) {
  std::ofstream(device_.spec().state_directory) << "not a directory";
  const auto token = device_.make_token();
  const auto key = token->create_key({});
  EXPECT_EQ(code_of(key), Errc::storage_failed) << told(key);
  EXPECT_EQ(logins(), 0U);
  const auto certificates = token->read_certificate(device_.factory().location);
  EXPECT_TRUE(certificates) << told(certificates) << "; that needs no login";
}

TEST_F(APin, ThatIsWrongIsTriedOnceWhereTheTokenOnlyCountsIt) {
  write(wrong_pin);
  device_.tap().misbehave(ModuleMisbehaviour::vague_logins);
  for (int restart = 0; restart < 3; ++restart) {
    const auto key = try_to_make_a_key();
    EXPECT_EQ(code_of(key), Errc::token_auth_failed) << told(key);
  }
  EXPECT_EQ(logins(), 1U);
}

TEST_F(APin, IsTriedOnceInOneGoWhereTheTokenDoesNotSayWhatIsWrong) {
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED, CKR_DEVICE_ERROR}) {
    Pkcs11Token token(device_.spec());
    device_.tap().reset();
    device_.tap().fail_always("C_Login", rv);
    const auto key = token.create_key({});
    EXPECT_EQ(code_of(key), Errc::token_failed) << told(key);
    EXPECT_EQ(logins(), 1U);
    device_.tap().heal();
    const auto again = token.create_key({});
    EXPECT_TRUE(again) << told(again);
  }
}

TEST_F(APin, ThatWasWrongAndIsChangedIsTriedAgain) {
  write(wrong_pin);
  Pkcs11Token token(device_.spec());
  EXPECT_EQ(code_of(token.create_key({})), Errc::token_auth_failed);
  write("000001wrong");
  EXPECT_EQ(code_of(token.create_key({})), Errc::token_auth_failed);
  EXPECT_EQ(code_of(token.create_key({})), Errc::token_auth_failed);
  EXPECT_EQ(logins(), 2U);
  write(device_.hsm().token().pin);
  const auto key = token.create_key({});
  EXPECT_TRUE(key) << told(key);
  EXPECT_EQ(logins(), 3U);
}

TEST_F(APin, ThatWasChangedInTheTokenOnlyIsTriedOnceAndAgainWhenTheCredentialFollows) {
  Pkcs11Token token(device_.spec());
  auto key = token.create_key({});
  ASSERT_TRUE(key) << told(key);
  device_.hsm().change_pin("87654321");
  device_.tap().close_sessions();
  device_.tap().reset();
  for (int turn = 0; turn < 3; ++turn) {
    const auto signature = (*key)->sign(a_digest(Digest::sha256), {});
    EXPECT_EQ(code_of(signature), Errc::token_auth_failed) << told(signature);
  }
  EXPECT_EQ(logins(), 1U);
  write("87654321");
  const auto signature = (*key)->sign(a_digest(Digest::sha256), {});
  EXPECT_TRUE(signature) << told(signature);
}

TEST_F(APin, IsInNoErrorAndInNoFileOfDevid) {
  write(wrong_pin);
  const auto key = try_to_make_a_key();
  EXPECT_THAT(told(key), Not(HasSubstr(wrong_pin)));
  ASSERT_TRUE(std::filesystem::exists(device_.spec().state_directory));
  std::size_t files = 0;
  for (const auto& entry : std::filesystem::directory_iterator(device_.spec().state_directory)) {
    ++files;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(in), {}};
    EXPECT_THAT(content, Not(HasSubstr(wrong_pin)));
    EXPECT_EQ(entry.status().permissions(), std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  }
  EXPECT_EQ(files, 1U);
}

TEST_F(APin, ThatIsMissingIsNamedAndNothingIsTried) {
  std::filesystem::remove(device_.hsm().token().pin_file);
  const auto key = try_to_make_a_key();
  EXPECT_EQ(code_of(key), Errc::config_missing) << told(key);
  EXPECT_THAT(told(key), HasSubstr(device_.hsm().token().pin_file.string()));
  EXPECT_EQ(logins(), 0U);
}

TEST_F(APin, ThatNobodyConfiguredIsAskedFor) {
  Pkcs11Spec spec = device_.spec();
  spec.pin.reset();
  Pkcs11Token token(spec);
  const auto key = token.create_key({});
  ASSERT_FALSE(key);
  EXPECT_THAT(key.error().sentence() + key.error().hint, HasSubstr("pin"));
  EXPECT_EQ(key.error().retry, Retry::after_operator) << told(key);
  EXPECT_EQ(logins(), 0U);
}

TEST_F(APin, ThatOthersCanReadIsNotUsed) {
  std::filesystem::permissions(device_.hsm().token().pin_file, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_EQ(code_of(try_to_make_a_key()), Errc::config_invalid);
  EXPECT_EQ(logins(), 0U);
}

TEST_F(APin, ThatIsLockedIsNotTried) {
  device_.tap().set_token_flags(CKF_USER_PIN_LOCKED);
  const auto key = try_to_make_a_key();
  EXPECT_EQ(code_of(key), Errc::token_locked_out) << told(key);
  EXPECT_EQ(key ? Retry::never : key.error().retry, Retry::after_operator);
  EXPECT_EQ(logins(), 0U);
}

TEST_F(APin, ThatTheTokenCallsLockedWhenItIsTriedIsToldAndWorksOnceItIsUnlocked) {
  device_.tap().fail_always("C_Login", CKR_PIN_LOCKED);
  Pkcs11Token token(device_.spec());
  const auto key = token.create_key({});
  EXPECT_EQ(code_of(key), Errc::token_locked_out) << told(key);
  device_.tap().heal();
  const auto again = token.create_key({});
  EXPECT_TRUE(again) << told(again);
}

TEST_F(APin, ThatMayNotBeWrongOnceMoreIsToldOf) {
  const auto token = device_.make_token();
  ASSERT_TRUE(token->inspect());
  EXPECT_THAT(token->inspect()->remarks, IsEmpty());
  for (const CK_FLAGS flag : {CKF_USER_PIN_COUNT_LOW, CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED}) {
    device_.tap().set_token_flags(flag);
    const auto report = token->inspect();
    ASSERT_TRUE(report) << told(report);
    EXPECT_THAT(report->remarks, Contains(HasSubstr("PIN"))) << std::hex << flag;
  }
  EXPECT_EQ(logins(), 0U) << "inspect() tries no PIN";
}

TEST_F(APin, WhoseNextFailureWouldLockTheTokenIsLeftToTheOperator) {
  device_.tap().set_token_flags(CKF_USER_PIN_FINAL_TRY);
  Pkcs11Token token(device_.spec());
  const auto key = token.create_key({});
  ASSERT_EQ(code_of(key), Errc::token_locked_out) << told(key);
  EXPECT_EQ(key.error().retry, Retry::after_operator);
  EXPECT_THAT(key.error().sentence(), HasSubstr("locks the token"));
  EXPECT_EQ(logins(), 0U);
  device_.tap().set_token_flags(0);  // the operator logged in
  const auto again = token.create_key({});
  EXPECT_TRUE(again) << told(again);
}

TEST_F(APin, IsTriedAgainAfterAFailureThatWasNotThePins) {
  Pkcs11Token token(device_.spec());
  device_.tap().fail("C_Login", CKR_HOST_MEMORY);
  EXPECT_FALSE(token.create_key({}));
  const auto key = token.create_key({});
  EXPECT_TRUE(key) << told(key);
}

TEST_F(APin, IsGivenOnceForAllSessionsOfOneToken) {
  Pkcs11Token token(device_.spec());
  const auto key = token.create_key({});
  ASSERT_TRUE(key) << told(key);
  const auto factory_key = token.open_key_at(device_.factory().location);
  ASSERT_TRUE(factory_key) << told(factory_key);
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_TRUE((*key)->sign(a_digest(Digest::sha256), {}));
    EXPECT_TRUE((*factory_key)->sign(a_digest(Digest::sha256), {}));
  }
  EXPECT_EQ(logins(), 1U);
}

}  // namespace
}  // namespace devid::test
