#include "agent/identity/network.h"

#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using namespace std::chrono_literals;
using std::chrono::days;

const Time now{Seconds(1'800'000'000)};

Situation failed(Errc code, std::uint32_t attempts = 1) {
  return {.record = {.attempts = attempts,
                     .method = JobKind::renew,
                     .last_attempt = now - 10s,
                     .next_attempt = now + 5h,
                     .last_error = Error{.code = code, .retry = Retry::later, .what = "it failed"}},
          .known_since = now - 1h};
}

Situation holding(Situation situation) {
  situation.credential =
      Holding{.validity = {.not_before = now - days(70), .not_after = now + days(30)}, .since = now - days(70)};
  return situation;
}

TEST(AnAttemptThatFailed, WaitsForTheNetworkOnlyIfThatWasMissing) {
  for (const Errc code : all_error_codes()) {
    const bool network =
        code == Errc::network_unreachable || code == Errc::network_timeout || code == Errc::proxy_failed;
    EXPECT_EQ(waits_for_network(failed(code)), network) << code_name(code);
    const Situation situation = holding(failed(code));
    EXPECT_EQ(step_with_network(situation, {}, now), network ? Step(Renew{}) : next_step(situation, {}, now))
        << code_name(code);
  }
  EXPECT_FALSE(waits_for_network(failed(Errc::network_timeout, 0)));
  EXPECT_FALSE(waits_for_network({}));
}

TEST(AnAttemptThatFailed, IsRepeatedAsItWouldBeLater) {
  EXPECT_EQ(step_with_network(failed(Errc::network_timeout), {}, now), Step(Enroll{}));
  Situation pending = failed(Errc::network_timeout);
  pending.request = JobKind::enroll;
  EXPECT_EQ(step_with_network(pending, {}, now), Step(Poll{JobKind::enroll}));
}

TEST(AnAttemptThatFailed, DoesNotBeginASecondOneBesideOneThatRuns) {
  Situation running = failed(Errc::network_timeout);
  running.running = JobKind::enroll;
  EXPECT_FALSE(waits_for_network(running));
}

TEST(AnAttemptThatFailed, WaitsForTheClockAllTheSame) {
  Situation early = failed(Errc::network_unreachable);
  early.clock_floor = now + 1h;
  EXPECT_EQ(step_with_network(early, {}, now), Step(Wait{now + 1h}));
}

TEST(AnAttemptThatFailed, WaitsForTheWindowAllTheSame) {
  Profile profile;
  const auto opens = CalendarEvents::parse("2027-01-20 00:00");
  ASSERT_TRUE(opens);
  profile.renewal.spread = 0;
  profile.renewal.window = MaintenanceWindow{.opens = *opens, .length = 2h};
  const auto step = step_with_network(holding(failed(Errc::network_unreachable)), profile, now);
  EXPECT_TRUE(std::holds_alternative<Wait>(step));
  EXPECT_EQ(step_with_network(holding(failed(Errc::network_unreachable)), {}, now), Step(Renew{}));
}

TEST(AnAttemptThatFailed, SaysThatItWaitsForTheNetwork) {
  const auto reason = [](Errc code) { return assess(failed(code), {}, now).reason; };
  EXPECT_TRUE(reason(Errc::network_unreachable).ends_with(", or soon after the network is back"));
  EXPECT_FALSE(reason(Errc::server_unavailable).ends_with("network is back"));
}

}  // namespace
}  // namespace devid::identity
