#include <gmock/gmock.h>

#include "agent/identity/next_step.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

using identity::State;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using testing::Contains;
using testing::HasSubstr;

/// What a CA issues makes no sense.
class ACertificateThatMakesNoSense : public Site {
 protected:
  ACertificateThatMakesNoSense() {
    profile("never");
    enroll();
    server_->forget();
  }
  void profile(const std::string& rekey) {
    write_profile("[renewal]\nrekey = \"" + rekey + "\"\nprove = false\n");
    load();
  }
  void issue(CertificateFlaw flaw, EstOperation operation = EstOperation::simplereenroll) {
    server_->misbehave(operation, {.certificate = flaw});
  }
  void expect_refusal(Errc code) {
    const auto before = current_files();
    const auto result = run(JobKind::renew);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, code) << result.error().sentence();
    EXPECT_EQ(current_files(), before);
    EXPECT_EQ(status().state, State::degraded);
    EXPECT_GE(*status().next_attempt, clock_.now() + Seconds(60));
    EXPECT_FALSE(has_request());
    EXPECT_EQ(hardware_.made_keys(), 1U);
    expect_usable_current();
  }
  /// The timer comes again and again. Returns how many requests the CA saw.
  std::size_t let_time_pass(Seconds whole, Seconds step) {
    const Time end = clock_.now() + whole;
    for (; clock_.now() < end; clock_.advance(step)) {
      const auto outlook = status().outlook.value();
      const auto next = identity::next_step(outlook.situation, outlook.profile, clock_.now());
      if (!std::holds_alternative<identity::Wait>(next)) static_cast<void>(run(identity::kind_of(next)));
    }
    return posted().size();
  }
};

TEST_F(ACertificateThatMakesNoSense, BecauseItIsTheSameAgain) {
  server_->behave();
  renew();  // so that the server has one to return
  issue(CertificateFlaw::same_again);
  expect_refusal(Errc::certificate_unchanged);
  profile("always");
  server_->behave();
  issue(CertificateFlaw::same_again);
  expect_refusal(Errc::certificate_wrong_key);
}

TEST_F(ACertificateThatMakesNoSense, BecauseItHasExpiredAlready) {
  issue(CertificateFlaw::expired);
  expect_refusal(Errc::certificate_not_valid_now);
}

TEST_F(ACertificateThatMakesNoSense, BecauseItBeginsNextYear) {
  issue(CertificateFlaw::from_next_year);
  expect_refusal(Errc::certificate_not_valid_now);
}

TEST_F(ACertificateThatMakesNoSense, IsNotAskedForFasterThanTheBackOff) {
  renew();
  server_->forget();
  clock_.advance(hours(17));
  ASSERT_LE(*status().next_attempt, clock_.now());
  for (const auto flaw : {CertificateFlaw::expired, CertificateFlaw::from_next_year}) {
    server_->behave();
    issue(flaw);
    server_->forget();
    const auto asked = let_time_pass(hours(3), minutes(1));
    EXPECT_GE(asked, 2U);
    EXPECT_LE(asked, 20U);
  }
}

TEST_F(ACertificateThatMakesNoSense, ThatLastsForFiftyYearsIsPlannedLikeAnyOther) {
  issue(CertificateFlaw::for_fifty_years);
  renew();
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(*status().not_after - *status().not_before, days(18262) + Seconds(60));
  EXPECT_GT(*status().next_attempt, clock_.now() + days(9000));
  EXPECT_LT(*status().next_attempt, clock_.now() + days(12300));
  load();
  EXPECT_EQ(status().state, State::valid);
  expect_usable_current();
}

TEST_F(ACertificateThatMakesNoSense, ThatLastsForAMinuteIsSaidAndNotAskedForInALoop) {
  issue(CertificateFlaw::for_a_minute);
  issue(CertificateFlaw::for_a_minute, EstOperation::simpleenroll);
  renew();
  EXPECT_THAT(noticed(), Contains(HasSubstr("less than two runs of devid-run-due.timer")));
  EXPECT_GE(*status().next_attempt, clock_.now() + Seconds(60));
  server_->forget();
  EXPECT_LE(let_time_pass(minutes(10), Seconds(10)), 11U);
}

}  // namespace
}  // namespace devid::test
