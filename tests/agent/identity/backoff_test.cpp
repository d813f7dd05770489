#include "agent/identity/backoff.h"

#include <gtest/gtest.h>

#include <limits>

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr RetryPolicy policy{.minimum = minutes(1), .maximum = hours(6)};
const Random lowest = [] { return 0.0; };
const Random highest = [] { return 1.0; };

TEST(BackOff, GrowsFromTwiceTheMinimumToTheMaximum) {
  EXPECT_EQ(backoff(1, policy, highest), minutes(2));
  EXPECT_EQ(backoff(2, policy, highest), minutes(4));
  EXPECT_EQ(backoff(8, policy, highest), minutes(256));
  EXPECT_EQ(backoff(9, policy, highest), hours(6));
}

TEST(BackOff, IsNeverShorterThanTheMinimum) {
  for (const std::uint32_t failures : {0U, 1U, 5U, 1000U}) EXPECT_EQ(backoff(failures, policy, lowest), minutes(1));
}

TEST(BackOff, IsSpreadOverTheWholeRange) {
  EXPECT_EQ(backoff(2, policy, [] { return 0.5; }), Seconds(150));
}

TEST(BackOff, DoesNotOverflowAfterAnyNumberOfFailures) {
  EXPECT_EQ(backoff(std::numeric_limits<std::uint32_t>::max(), policy, highest), hours(6));
}

TEST(BackOff, IsFixedWhereMinimumAndMaximumAreOne) {
  const RetryPolicy fixed{.minimum = minutes(5), .maximum = minutes(5)};
  EXPECT_EQ(backoff(3, fixed, lowest), minutes(5));
  EXPECT_EQ(backoff(3, fixed, highest), minutes(5));
}

TEST(TheWaitAfterAFailure, IsNeverShorterThanTheServersAdvice) {
  Error error{.code = Errc::server_unavailable, .retry = Retry::later, .retry_after = hours(8)};
  EXPECT_EQ(wait_after_failure(error, 1, policy, Seconds(0), lowest), hours(8));
  EXPECT_EQ(wait_after_failure(error, 1, policy, Seconds(0), highest), hours(9)) << "it says that to the whole fleet";
  error.retry_after = Seconds(3);
  EXPECT_EQ(wait_after_failure(error, 1, policy, Seconds(0), highest), minutes(2));
}

TEST(TheWaitAfterAFailure, IsNotMadeEndlessByAdvice) {
  const Error error{.code = Errc::server_unavailable, .retry = Retry::later, .retry_after = Seconds::max()};
  EXPECT_EQ(wait_after_failure(error, 1, policy, Seconds(0), lowest), days(1));
}

TEST(TheWaitAfterAFailure, IsLongFromTheFirstWhereAnOperatorIsNeeded) {
  for (const Retry retry : {Retry::after_operator, Retry::never}) {
    const Error error{.code = Errc::server_unauthorized, .retry = retry};
    EXPECT_EQ(wait_after_failure(error, 1, policy, Seconds(0), lowest), hours(3));
    EXPECT_EQ(wait_after_failure(error, 1, policy, Seconds(0), highest), hours(6));
  }
}

TEST(TheWaitAfterAFailure, IsALongOneWhereTheCredentialLastsLong) {
  const Error error{.code = Errc::network_timeout, .retry = Retry::later};
  EXPECT_EQ(wait_after_failure(error, 1, policy, days(15), highest), hours(12));
  EXPECT_EQ(wait_after_failure(error, 1, policy, days(30), highest), hours(24));
  EXPECT_EQ(wait_after_failure(error, 1, policy, days(3650), highest), hours(24)) << "four times the maximum";
  EXPECT_EQ(wait_after_failure(error, 1, policy, days(30), lowest), minutes(1));
  EXPECT_EQ(wait_after_failure(error, 9, policy, days(1), highest), hours(6)) << "the back-off is longer by now";
}

TEST(TheWaitAfterAFailure, IsAShortOneWhereTheCredentialEndsSoon) {
  const Error error{.code = Errc::network_timeout, .retry = Retry::later};
  EXPECT_EQ(wait_after_failure(error, 1, policy, hours(1), highest), minutes(2));
}

TEST(TheWaitAfterALook, IsUpToHalfOfTheInterval) {
  const Error error{.code = Errc::network_timeout, .retry = Retry::later};
  EXPECT_EQ(wait_after_look(error, days(1), policy, highest), hours(12));
  EXPECT_EQ(wait_after_look(error, days(1), policy, lowest), minutes(1));
  EXPECT_EQ(wait_after_look(error, Seconds(20), policy, highest), Seconds(20)) << "never longer than the interval";
}

TEST(TheWaitAfterALook, IsNotShorterThanTheServersAdvice) {
  Error error{.code = Errc::server_unavailable, .retry = Retry::later, .retry_after = hours(20)};
  EXPECT_EQ(wait_after_look(error, days(1), policy, lowest), hours(20));
  error.retry_after = days(3);
  EXPECT_EQ(wait_after_look(error, days(7), policy, lowest), days(1));
}

TEST(TheWaitOfAPendingRequest, IsWhatTheServerSaid) {
  EXPECT_EQ(wait_while_pending(Seconds(7), 1, policy, highest), Seconds(7));
  EXPECT_EQ(wait_while_pending(days(400), 1, policy, highest), days(1));
}

TEST(TheWaitOfAPendingRequest, IsTheBackOffWhereTheServerSaidNothing) {
  EXPECT_EQ(wait_while_pending(Seconds(0), 3, policy, highest), minutes(8));
}

TEST(TheLongestWait, IsADayUnlessTheProfileWantsLonger) {
  EXPECT_EQ(longest_wait(policy), days(1));
  EXPECT_EQ(longest_wait({.minimum = minutes(1), .maximum = days(7)}), days(28)) << "with a credential that lasts";
}

}  // namespace
}  // namespace devid::identity
