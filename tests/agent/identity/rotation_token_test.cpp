#include <gmock/gmock.h>

#include "agent/identity/rotation.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

/// The token fails at its nth operation, for every n.
class AToken : public Site {
 protected:
  AToken() { prove_nothing(); }

  void expect_survival(JobKind kind, const std::string& what) {
    const auto before = current_files();
    const std::size_t keys = hardware_.made_keys();
    unsigned requests = 0;
    for (unsigned nth = 1; nth < 30; ++nth) {
      SCOPED_TRACE(what + ", operation " + std::to_string(nth));
      hardware_.fail_nth(nth, {.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away"});
      const auto result = run(kind);
      hardware_.recover();
      if (result) {
        EXPECT_GT(nth, 5U) << "too few operations could fail";
        EXPECT_LE(requests, 3U) << "only what follows the answer leaves a request";
        expect_usable_current();
        return;
      }
      EXPECT_EQ(result.error().code, Errc::token_unreachable) << result.error().sentence();
      EXPECT_EQ(current_files(), before);
      EXPECT_EQ(hardware_.made_keys(), keys + (has_request() ? 1 : 0));
      EXPECT_EQ(has_request(), observer_.phases.back() == "verifying");
      if (has_request()) ++requests;
      drop_request();
    }
    ADD_FAILURE() << "a job should need fewer operations of the token";
  }
};

TEST_F(AToken, ThatFailsAtAnyOperationOfAnEnrollmentLeavesTheRequestAtMost) {
  expect_survival(JobKind::enroll, "enroll");
}

TEST_F(AToken, ThatFailsAtAnyOperationOfARenewalLeavesTheCredential) {
  enroll();
  expect_survival(JobKind::renew, "renew");
}

TEST_F(AToken, ThatCannotDestroyAKeyIsAskedAgainByTheNextJob) {
  observer_.at_phase = [&](Phase phase) {
    if (phase == Phase::requesting)
      hardware_.fail_all({.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away"});
  };
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-400"), 1);
  EXPECT_FALSE(run(JobKind::enroll));
  EXPECT_EQ(hardware_.made_keys(), 1U);
  hardware_.recover();
  observer_.at_phase = nullptr;
  enroll();
  EXPECT_EQ(hardware_.made_keys(), 1U);
}

/// What was written down of the new key does not sign for the certificate that came.
class AKeyThatDoesNotSign : public Site {
 protected:
  void expect_refusal(const std::function<void(const fs::path&)>& spoil) {
    enroll();
    const auto before = current_files();
    observer_.at_phase = [&](Phase phase) {
      if (phase == Phase::verifying) spoil(directory() / "request/token-key.pem");
    };
    const auto result = run(JobKind::renew);
    ASSERT_FALSE(result);
    EXPECT_EQ(current_files(), before);
    expect_usable_current();
    observer_.at_phase = nullptr;
    renew();
    expect_usable_current();
  }
};

TEST_F(AKeyThatDoesNotSign, BecauseTheTokenLostItNeverBecomesCurrent) {
  expect_refusal([&](const fs::path& file) {
    FakeToken token(hardware_, "tpm");
    ASSERT_TRUE(token.destroy_key(*read_file(file, 10000)));
  });
}

TEST_F(AKeyThatDoesNotSign, BecauseTheFileIsOfAnotherKeyNeverBecomesCurrent) {
  expect_refusal([&](const fs::path& file) {
    fs::copy_file(directory() / "current/token-key.pem", file, fs::copy_options::overwrite_existing);
  });
}

TEST_F(AKeyThatDoesNotSign, BecauseTheFileIsDamagedNeverBecomesCurrent) {
  expect_refusal([&](const fs::path& file) { write_file(file, "-----BEGIN"); });
}

}  // namespace
}  // namespace devid::test
