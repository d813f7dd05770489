// Sessions die, tokens are pulled, processes fork. Devid goes on, with one login, and leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include <array>
#include <filesystem>
#include <iterator>
#include <ostream>

#include "tests/support/forked_child.h"
#include "tests/support/openssl_verify.h"
#include "tests/support/swtpm.h"
#include "tests/tokens/pkcs11/device_hsm.h"
#include "tokens/tpm/tpm_token.h"

namespace devid::test {
namespace {

class AnHsm : public testing::Test {
 protected:
  AnHsm() {
    auto made = token_->create_key({.label = "devid:gateway:1"});
    if (made) key_ = std::move(*made);
    EXPECT_TRUE(key_) << told(made);
    device_.tap().reset();
  }

  static Result<Bytes> sign(PrivateKey& key) {
    const Bytes digest = a_digest(Digest::sha256);
    auto signature = key.sign(digest, {});
    if (signature) {
      EXPECT_TRUE(verifies(key.public_key(), digest, {}, *signature));
    }
    return signature;
  }
  void expect_signs() {
    const auto signature = sign(*key_);
    EXPECT_TRUE(signature) << told(signature) << "; " << device_.tap().summary();
  }
  std::size_t logins() { return device_.tap().calls("C_Login"); }

  DeviceHsm device_;
  std::unique_ptr<Token> token_ = device_.make_token();
  std::unique_ptr<PrivateKey> key_;
};

/// One way in which a session dies: a function says so.
struct Death {
  const char* function;
  const char* name;
  CK_RV rv;
};
void PrintTo(const Death& death, std::ostream* out) { *out << death.function << ": " << death.name; }

class ASessionThatDied : public AnHsm, public testing::WithParamInterface<Death> {};

TEST_P(ASessionThatDied, IsReplacedWithOneLoginAtMost) {
  device_.tap().fail(GetParam().function, GetParam().rv);
  expect_signs();
  EXPECT_LE(logins(), 1U) << device_.tap().summary();
  device_.tap().reset();
  expect_signs();
  EXPECT_EQ(logins(), 0U) << device_.tap().summary();
  EXPECT_TRUE(token_->create_key({}));
}

INSTANTIATE_TEST_SUITE_P(Signing, ASessionThatDied,
                         testing::Values(Death{"C_SignInit", "CKR_SESSION_HANDLE_INVALID", CKR_SESSION_HANDLE_INVALID},
                                         Death{"C_SignInit", "CKR_SESSION_CLOSED", CKR_SESSION_CLOSED},
                                         Death{"C_SignInit", "CKR_DEVICE_REMOVED", CKR_DEVICE_REMOVED},
                                         Death{"C_SignInit", "CKR_TOKEN_NOT_PRESENT", CKR_TOKEN_NOT_PRESENT},
                                         Death{"C_SignInit", "CKR_USER_NOT_LOGGED_IN", CKR_USER_NOT_LOGGED_IN},
                                         Death{"C_SignInit", "CKR_KEY_HANDLE_INVALID", CKR_KEY_HANDLE_INVALID},
                                         Death{"C_SignInit", "CKR_OPERATION_ACTIVE", CKR_OPERATION_ACTIVE},
                                         Death{"C_SignInit", "CKR_CRYPTOKI_NOT_INITIALIZED",
                                               CKR_CRYPTOKI_NOT_INITIALIZED},
                                         Death{"C_Sign", "CKR_SESSION_HANDLE_INVALID", CKR_SESSION_HANDLE_INVALID},
                                         Death{"C_Sign", "CKR_DEVICE_REMOVED", CKR_DEVICE_REMOVED},
                                         Death{"C_Sign", "CKR_USER_NOT_LOGGED_IN", CKR_USER_NOT_LOGGED_IN}));

TEST_F(AnHsm, SignsAgainAfterItClosedEverySession) {
  for (int turn = 0; turn < 3; ++turn) {
    device_.tap().close_sessions();
    device_.tap().reset();
    expect_signs();
    EXPECT_EQ(logins(), 1U) << device_.tap().summary();
  }
  EXPECT_LE(device_.tap().open_sessions(), 1);
}

TEST_F(AnHsm, DoesEverythingAgainAfterItClosedEverySession) {
  device_.tap().close_sessions();
  EXPECT_TRUE(token_->create_key({}));
  device_.tap().close_sessions();
  EXPECT_TRUE(token_->list_keys());
  device_.tap().close_sessions();
  EXPECT_TRUE(token_->list_certificates());
  device_.tap().close_sessions();
  EXPECT_TRUE(token_->read_certificate(device_.factory().location));
  device_.tap().close_sessions();
  EXPECT_TRUE(token_->open_key_at(device_.factory().location));
  device_.tap().close_sessions();
  EXPECT_TRUE(token_->destroy_key(key_->pem()));
}

TEST_F(AnHsm, ThatWasPulledIsUnreachableAndSignsAgainWhenItIsBack) {
  for (int turn = 0; turn < 3; ++turn) {
    device_.tap().set_gone(true);
    device_.tap().reset();
    const auto signature = sign(*key_);
    EXPECT_EQ(code_of(signature), Errc::token_unreachable) << told(signature);
    if (!signature) {
      EXPECT_EQ(signature.error().retry, Retry::later);
    }
    EXPECT_EQ(code_of(token_->create_key({})), Errc::token_unreachable);
    EXPECT_EQ(code_of(token_->inspect()), Errc::token_unreachable);
    device_.tap().set_gone(false);
    expect_signs();
  }
  EXPECT_LE(device_.tap().open_sessions(), 1);
}

TEST_F(AnHsm, ThatStaysBrokenIsGivenUpAfterAFewCalls) {
  for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_DEVICE_ERROR, CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED}) {
    device_.tap().fail_always("C_SignInit", rv);
    device_.tap().reset();
    EXPECT_FALSE(sign(*key_));
    EXPECT_LE(device_.tap().calls(), 60U) << device_.tap().summary();
    EXPECT_LE(device_.tap().calls("C_SignInit"), 4U);
    device_.tap().heal();
    expect_signs();
  }
}

TEST_F(AnHsm, SignsInTheChildOfAForkAndInItsParent) {
  const std::string said = in_a_child([&] {
    const auto signature = sign(*key_);
    if (!signature) return told(signature);
    return verifies(key_->public_key(), a_digest(Digest::sha256), {}, *signature) ? std::string("signed")
                                                                                  : std::string("signed wrongly");
  });
  EXPECT_EQ(said, "signed");
  expect_signs();
  EXPECT_EQ(logins(), 0U) << "the parent's session is its own";
  EXPECT_EQ(device_.tap().calls_before_initialize(), 0U);
}

TEST_F(AnHsm, ThatAChildHasOpenedAndClosedIsStillThere) {
  const std::string said = in_a_child([&] {
    (void)token_->destroy_key("");
    key_.reset();
    token_.reset();
    return std::string("closed");
  });
  EXPECT_EQ(said, "closed");
  expect_signs();
  EXPECT_EQ(device_.tap().calls_before_initialize(), 0U);
}

/// Failures in a row, beginning with any call of an operation.
struct Row {
  const char* name;
  CK_RV rv;
  unsigned times;
};
void PrintTo(const Row& row, std::ostream* out) { *out << row.times << ' ' << row.name; }

class AKeyThatCouldNotBeMade : public AnHsm, public testing::WithParamInterface<Row> {};

TEST_P(AKeyThatCouldNotBeMade, LeavesNothingBehindWhicheverCallFails) {
  constexpr unsigned most_calls = 40;
  const std::size_t before = device_.objects();
  unsigned passed = 0;
  for (bool failed = true; failed && passed < most_calls; ++passed) {
    device_.tap().fail("", GetParam().rv, GetParam().times, passed);
    const auto key = token_->create_key({.label = "devid:gateway:2"});
    failed = device_.tap().has_failed();
    device_.tap().heal();
    if (key) {
      EXPECT_TRUE(token_->destroy_key((*key)->pem()));
    }
    ASSERT_EQ(device_.objects(), before) << "after " << passed << " calls: " << told(key);
  }
  EXPECT_GT(passed, 4U);
  EXPECT_LT(passed, most_calls);
  expect_signs();
}

// Four in a row are the reading of the new key's attributes, the destruction of its two halves, and one more.
INSTANTIATE_TEST_SUITE_P(Because, AKeyThatCouldNotBeMade,
                         testing::Values(Row{"CKR_HOST_MEMORY", CKR_HOST_MEMORY, 1},
                                         Row{"CKR_SESSION_HANDLE_INVALID", CKR_SESSION_HANDLE_INVALID, 4}));

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

TEST_F(AnHsm, HasNothingLeftBehindAfterTwoHundredFailures) {
  const std::size_t objects = device_.objects();
  const std::size_t files = open_files();
  constexpr std::array rvs{CKR_HOST_MEMORY,    CKR_DEVICE_ERROR,   CKR_GENERAL_ERROR, CKR_SESSION_HANDLE_INVALID,
                           CKR_DEVICE_REMOVED, CKR_FUNCTION_FAILED};
  for (unsigned turn = 0; turn < 200; ++turn) {
    device_.tap().fail("", rvs.at(turn % rvs.size()), 3, turn % 5);
    switch (turn % 4) {
      case 0: {
        if (const auto key = token_->create_key({})) {
          device_.tap().heal();
          EXPECT_TRUE(token_->destroy_key((*key)->pem()));
        }
        break;
      }
      case 1: (void)sign(*key_); break;
      case 2: (void)token_->list_keys(); break;
      default: (void)token_->open_key_at(device_.factory().location); break;
    }
    device_.tap().heal();
  }
  expect_signs();
  EXPECT_EQ(device_.objects(), objects);
  EXPECT_LE(device_.tap().open_sessions(), 2);
  EXPECT_LE(open_files(), files + 2);
}

TEST_F(AnHsm, ClosesWhatItOpened) {
  key_.reset();
  token_.reset();
  EXPECT_EQ(device_.tap().open_sessions(), 0) << device_.tap().summary();
}

TEST_F(AnHsm, IsUsedByTwoTokensOfOneProcess) {
  const auto other = device_.make_token();
  const auto key = other->open_key(key_->pem());
  ASSERT_TRUE(key) << told(key);
  EXPECT_TRUE(sign(**key));
  expect_signs();
  device_.tap().close_sessions();
  EXPECT_TRUE(sign(**key));
  expect_signs();
}

TEST_F(AnHsm, GoesOnWhenAnotherTokenOfTheProcessIsDone) {
  {
    const auto other = device_.make_token();
    EXPECT_TRUE(other->inspect());
    EXPECT_TRUE(other->list_keys());
  }
  expect_signs();
}

TEST_F(AnHsm, WorksBesideAnotherModuleAndATpm) {
  const Swtpm swtpm;
  TpmToken tpm({.tcti = swtpm.tcti()});
  const HsmToken& second = device_.hsm().add_token("second");
  Pkcs11Spec spec = device_.spec(second);
  spec.name = "second";
  spec.module = device_.hsm().copy_of_module();
  Pkcs11Token other(spec);

  const auto in_tpm = tpm.create_key({});
  const auto in_other = other.create_key({});
  ASSERT_TRUE(in_tpm) << told(in_tpm);
  ASSERT_TRUE(in_other) << told(in_other);
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_TRUE(sign(**in_tpm));
    expect_signs();
    EXPECT_TRUE(sign(**in_other));
  }
  device_.tap().set_gone(true);
  EXPECT_FALSE(sign(*key_));
  EXPECT_TRUE(sign(**in_other));
  EXPECT_TRUE(sign(**in_tpm));
  EXPECT_EQ(code_of(tpm.open_key(key_->pem())), Errc::token_wrong_key);
  EXPECT_EQ(code_of(other.open_key((*in_tpm)->pem())), Errc::token_wrong_key);
  EXPECT_EQ(device_.hsm().count(second, "Private Key"), 1U);
}

}  // namespace
}  // namespace devid::test
