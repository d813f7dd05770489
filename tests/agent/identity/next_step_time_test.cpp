#include "agent/identity/next_step.h"

#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::years;

// The certificate of these tests is valid for 90 days from 2026-01-01; two thirds of that are over on 2026-03-02.
constexpr Time january = std::chrono::sys_days(std::chrono::January / 1 / 2026);
constexpr Validity ninety_days{.not_before = january, .not_after = january + days(90)};
constexpr Time renewal = january + days(60);
constexpr Time started = january - days(1);

Record failed(Time last, Time next) { return {.attempts = 1, .last_attempt = last, .next_attempt = next}; }

Situation situation(std::optional<Validity> credential, Record record = {}, std::optional<JobKind> request = {}) {
  std::optional<Holding> held;
  if (credential) held = Holding{.validity = *credential, .since = record.last_success};
  return {.credential = held, .request = request, .record = std::move(record), .known_since = started};
}

/// One that does not look at its CA between renewals.
Profile without_looks() {
  Profile profile;
  profile.server.cacerts_interval = days(36500);
  return profile;
}

/// Saturdays from 02:00 to 04:00 UTC.
Profile with_window() {
  Profile profile = without_looks();
  profile.renewal.window = MaintenanceWindow{.opens = *CalendarEvents::parse("Sat 02:00 UTC"), .length = hours(2)};
  return profile;
}
// A Saturday after the renewal time, which is a Monday.
constexpr Time saturday = std::chrono::sys_days(std::chrono::March / 7 / 2026) + hours(2);

TEST(ARenewal, WaitsForTheWindow) {
  Situation held = situation(ninety_days);
  held.credential->share = 0;
  EXPECT_EQ(next_step(held, with_window(), renewal - days(9)), Step(Wait{saturday - days(14)})) << "spread: 10 %";
  EXPECT_EQ(next_step(situation(ninety_days), with_window(), renewal), Step(Wait{saturday}));
  EXPECT_EQ(next_step(situation(ninety_days), with_window(), saturday + minutes(100)), Step(Renew{}));
  EXPECT_EQ(next_step(situation(ninety_days), with_window(), saturday + hours(2)), Step(Wait{saturday + days(7)}))
      << "it was missed, and there is another in time";
}

TEST(ARenewalThatFailed, WaitsForTheWindowToo) {
  const Situation tried = situation(ninety_days, failed(saturday, saturday + hours(3)));
  EXPECT_EQ(next_step(tried, with_window(), saturday + hours(3)), Step(Wait{saturday + days(7)}));
}

TEST(WhatCannotWait, PassesOverTheWindow) {
  const Time wednesday = renewal + days(2);
  EXPECT_EQ(next_step(situation({}), with_window(), wednesday), Step(Enroll{}));
  EXPECT_EQ(next_step(situation(ninety_days, {.revoked = true}), with_window(), wednesday), Step(Enroll{}));
  EXPECT_EQ(next_step(situation(ninety_days, {}, JobKind::renew), with_window(), wednesday),
            Step(Poll{JobKind::renew}));
  EXPECT_EQ(next_step(situation(ninety_days), with_window(), january + days(76)), Step(Renew{})) << "half is over";
  EXPECT_EQ(next_step(situation(ninety_days), with_window(), january + days(91)), Step(Enroll{}));
}

TEST(AClock, IsWrongBeforeTheSoftwareWasBuilt) {
  Situation fresh = situation({});
  fresh.clock_floor = january;
  EXPECT_EQ(next_step(fresh, {}, Time(hours(1))), Step(Wait{january}));
  const Assessment assessment = assess(fresh, {}, Time(hours(1)));
  EXPECT_EQ(assessment.state, State::waiting_for_clock);
  EXPECT_EQ(assessment.reason,
            "not enrolled; the clock says 1970-01-01 01:00:00 UTC, which is before 2026-01-01 00:00:00 UTC and cannot "
            "be: nothing is done until it is set");
  EXPECT_EQ(next_step(fresh, {}, january), Step(Enroll{}));
}

TEST(AClock, IsWrongBeforeTheCertificateWasIssuedAndAMinute) {
  EXPECT_EQ(next_step(situation(ninety_days), without_looks(), january - Seconds(61)),
            Step(Wait{january - minutes(1)}));
  EXPECT_EQ(next_step(situation(ninety_days), without_looks(), january - Seconds(60)), Step(Wait{renewal}));
  const Record seen{.last_success = january + days(1)};
  EXPECT_EQ(clock_floor(situation(ninety_days, seen)), january + days(1));
}

TEST(AClockThatWasAhead, HoldsNothingBack) {
  const Record ahead{.last_success = january + days(80)};
  const Situation held = situation(ninety_days, ahead);
  EXPECT_EQ(clock_floor(held), january - minutes(1)) << "its CA has dated it otherwise";
  EXPECT_EQ(next_step(held, without_looks(), january + days(5)), Step(Wait{renewal}))
      << "as if it had come at its begin";
  EXPECT_EQ(next_step(held, without_looks(), renewal), Step(Renew{}));
}

TEST(AClockThatWasAhead, DoesNotMakeAFleetRenewAtOnce) {
  const Record failed_then = failed(january + years(10), january + years(10) + hours(1));
  EXPECT_EQ(next_step(situation(ninety_days, failed_then), without_looks(), january + days(5)), Step(Wait{renewal}));
  EXPECT_EQ(next_step(situation({}, failed_then), without_looks(), january + days(5)), Step(Enroll{}));
}

TEST(AnEnrollmentThatNobodyApproves, GivesWayToARenewalInTime) {
  Record waiting;
  waiting.pending_since = renewal;
  waiting.last_attempt = renewal;
  waiting.next_attempt = renewal;
  const Situation held = situation(ninety_days, waiting, JobKind::enroll);
  EXPECT_EQ(next_step(held, without_looks(), renewal + days(15)), Step(Poll{JobKind::enroll}));
  EXPECT_EQ(next_step(held, without_looks(), renewal + days(15) + Seconds(1)), Step(Renew{}));
  EXPECT_EQ(next_step(held, without_looks(), january + days(91)), Step(Poll{JobKind::enroll}))
      << "nothing is left to renew";
}

TEST(ACredentialThatIsOfNoUse, DoesNotWaitForTheWindow) {
  Record record = failed(renewal, renewal + hours(1));
  record.method = JobKind::enroll;
  EXPECT_EQ(next_step(situation(ninety_days, record), with_window(), renewal + hours(1)), Step(Renew{}));
  record.method = JobKind::renew;
  EXPECT_NE(next_step(situation(ninety_days, record), with_window(), renewal + hours(1)), Step(Renew{}));
}

}  // namespace
}  // namespace devid::identity
