#include "agent/identity/bookkeeping.h"

#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr Time noon = std::chrono::sys_days(std::chrono::January / 1 / 2026) + hours(12);
const Random lowest = [] { return 0.0; };
const Random highest = [] { return 1.0; };
const Profile profile;

Moment at(Time now, const Random& random = highest) { return {.profile = profile, .now = now, .random = random}; }

Error failure(Errc code = Errc::network_timeout, Retry retry = Retry::later) {
  return {.code = code, .retry = retry, .what = "cannot enroll"};
}

TEST(BeforeAnAttempt, ItIsWrittenDownAsAFailedOne) {
  const Record record = before_attempt({.attempts = 2}, JobKind::renew, at(noon));
  EXPECT_EQ(record.attempts, 3U);
  EXPECT_EQ(record.method, JobKind::renew);
  EXPECT_EQ(record.last_attempt, noon);
  EXPECT_EQ(record.next_attempt, noon + minutes(8));
  ASSERT_TRUE(record.last_error);
  EXPECT_EQ(record.last_error->sentence(), "the last attempt was cut short: devidd or the device stopped");
}

TEST(AfterAFailure, TheNextAttemptIsReckonedFromItsEnd) {
  const Record during = before_attempt({}, JobKind::enroll, at(noon));
  Error error = failure(Errc::server_unavailable);
  error.retry_after = hours(2);
  const Record record = after_failure(during, {}, error, at(noon + minutes(5)));
  EXPECT_EQ(record.last_attempt, noon);
  EXPECT_EQ(record.next_attempt, noon + minutes(5) + hours(2));
  EXPECT_EQ(record.attempts, 1U);
  EXPECT_EQ(record.last_error->code, Errc::server_unavailable);
  EXPECT_FALSE(record.last_error->retry_after);
}

TEST(AfterAFailure, ItsTextIsSafeToBeShown) {
  Error error = failure();
  error.reason = "\x1b[2J";
  EXPECT_EQ(after_failure({}, {}, error, at(noon)).last_error->reason, "\\x1b[2J");
}

TEST(AfterAFailure, NothingButItsTimeIsLeftOfWhatWasCancelled) {
  const Record before{.attempts = 4, .next_attempt = noon + hours(1), .last_error = failure()};
  const Record during = before_attempt(before, JobKind::renew, at(noon));
  const Record record = after_failure(during, before, failure(Errc::cancelled), at(noon));
  EXPECT_EQ(record.attempts, 4U);
  EXPECT_EQ(record.last_attempt, noon);
  EXPECT_EQ(record.next_attempt, noon + hours(1));
  EXPECT_EQ(record.last_error->code, Errc::network_timeout);
}

TEST(WhilePending, EachPollIsCountedFromTheFirstAnswer) {
  const Record first = while_pending(before_attempt({}, JobKind::enroll, at(noon)), {}, hours(1), at(noon));
  EXPECT_EQ(first.attempts, 0U);
  EXPECT_EQ(first.polls, 1U);
  EXPECT_EQ(first.pending_since, noon);
  EXPECT_EQ(first.next_attempt, noon + hours(1));
  EXPECT_FALSE(first.last_error);

  const Time later = noon + hours(1);
  Record during = before_attempt(first, JobKind::enroll, at(later));
  during.unanswered = 3;
  const Record second = while_pending(during, first, Seconds(0), at(later));
  EXPECT_EQ(second.polls, 2U);
  EXPECT_EQ(second.unanswered, 0U);
  EXPECT_EQ(second.pending_since, noon);
  EXPECT_EQ(second.next_attempt, later + minutes(4));
}

TEST(AfterASuccess, OnlyTheNewGenerationCounts) {
  const Record during = before_attempt({.generation = 6, .attempts = 3, .revoked = true}, JobKind::enroll, at(noon));
  const Record record = after_success(during, {.generation = 7, .last_success = noon + minutes(1)}, at(noon));
  EXPECT_EQ(record.generation, 7U);
  EXPECT_EQ(record.attempts, 0U);
  EXPECT_FALSE(record.revoked);
  EXPECT_FALSE(record.last_error);
  EXPECT_FALSE(record.next_attempt);
  EXPECT_EQ(record.last_attempt, noon);
  EXPECT_EQ(record.last_success, noon + minutes(1));
}

TEST(ALook, IsRepeatedWithinATenthOfTheInterval) {
  EXPECT_EQ(after_look({}, {}, nullptr, at(noon, lowest)).next_refresh, noon + Seconds(days(1)) * 95 / 100);
  EXPECT_EQ(after_look({}, {}, nullptr, at(noon, highest)).next_refresh, noon + Seconds(days(1)) * 105 / 100);
}

TEST(ALook, ThatFailedIsRepeatedSoonAndChangesNothingElse) {
  const Record before{.generation = 2, .next_refresh = noon};
  const Record during = before_look(before, at(noon));
  EXPECT_GT(*during.next_refresh, noon);
  const Error error = failure();
  const Record record = after_look(during, before, &error, at(noon));
  EXPECT_EQ(record.next_refresh, noon + minutes(2));
  EXPECT_EQ(record.attempts, 0U);
  EXPECT_FALSE(record.last_error);
}

TEST(ALook, ThatWasCancelledIsAsDueAsBefore) {
  const Record before{.next_refresh = noon};
  const Error error = failure(Errc::cancelled);
  EXPECT_EQ(after_look(before_look(before, at(noon)), before, &error, at(noon)).next_refresh, noon);
}

/// A device whose certificate is valid, after this failure of this job.
bool goes_on(Errc code, JobKind failed) {
  const Validity validity{.not_before = noon - days(60), .not_after = noon + days(30)};
  Situation situation{.credential = Holding{.validity = validity}};
  situation.record = after_failure(before_attempt({}, failed, at(noon)), {}, failure(code), at(noon));
  return goes_on_with_idevid(situation, failure(code), failed, profile, noon);
}

TEST(AJob, GoesOnWithTheIdevidWhereARenewalIsRefused) {
  EXPECT_TRUE(goes_on(Errc::server_unauthorized, JobKind::renew));
  EXPECT_TRUE(goes_on(Errc::token_no_such_key, JobKind::renew));
}

TEST(AJob, EndsWhereTheServerIsAwayOrNobodyWantsItOrTheIdevidItselfWasRefused) {
  EXPECT_FALSE(goes_on(Errc::network_timeout, JobKind::renew));
  EXPECT_FALSE(goes_on(Errc::cancelled, JobKind::renew));
  EXPECT_FALSE(goes_on(Errc::server_unauthorized, JobKind::enroll));
}

}  // namespace
}  // namespace devid::identity
