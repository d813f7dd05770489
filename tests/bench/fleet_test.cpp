#include "tests/bench/fleet.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <numeric>

#include "tests/bench/load_picture.h"

namespace devid::test {
namespace {

using std::chrono::days;
using std::chrono::hours;
using testing::HasSubstr;

/// So few that a minute says nothing: what counts is the load of a quarter of an hour, as often as they are asked.
FleetOptions small_fleet() {
  return {.devices = 30'000, .duration = days(130), .outage_at = days(36), .one_of = 4, .seed = 7};
}

/// The highest load over the mean, at any time but the enrollments and the outage, of stretches of this many minutes.
struct Ratio {
  double any_time;
  double after_outage;
};

Ratio ratio(const std::vector<std::uint32_t>& load, const FleetOptions& options, std::size_t stretch) {
  const auto minute = [](Seconds time) { return static_cast<std::size_t>(time / std::chrono::minutes(1)); };
  const std::size_t down = minute(options.outage_at);
  const std::size_t up = minute(options.outage_at + options.outage);
  double sum = 0;
  double count = 0;
  double highest = 0;
  double highest_after = 0;
  for (std::size_t at = minute(options.enrollment); at + stretch <= load.size(); at += stretch) {
    if (at + stretch > down && at < up) continue;
    const auto begin = load.begin() + static_cast<std::ptrdiff_t>(at);
    const double here = std::accumulate(begin, begin + static_cast<std::ptrdiff_t>(stretch), 0.0);
    sum += here;
    ++count;
    double& peak = at >= up && at < up + 60 ? highest_after : highest;
    peak = std::max(peak, here);
  }
  return {.any_time = highest * count / sum, .after_outage = highest_after * count / sum};
}

TEST(AFleet, DoesNotKnockAllAtOnce) {
  const FleetOptions options = small_fleet();
  const FleetLoad load = simulate(options);
  EXPECT_EQ(load.expired, 0U);
  const Ratio renewals = ratio(load.issues, options, 60);
  EXPECT_LT(renewals.any_time, 2.5);
  EXPECT_LT(renewals.after_outage, 2.5);
  const Ratio all = ratio(load.requests, options, 15);
  EXPECT_LT(all.any_time, 2.2);
  EXPECT_LT(all.after_outage, 2.2);
}

TEST(AFleet, RenewsFromThenOnAsOftenAsThePolicySays) {
  const FleetOptions options = small_fleet();
  const FleetLoad load = simulate(options);
  const auto issued = std::accumulate(load.issues.begin(), load.issues.end(), 0.0) / options.devices;
  // One enrollment, a renewal about day 33, the next 55 days later; after 130 days some have had the third.
  EXPECT_NEAR(issued, 3.28, 0.1);
}

TEST(AFleet, ThatIsAskedInEachMinuteAlikeIsSoByItsTimer) {
  std::ifstream in(DEVID_TIMER);
  const std::string timer{std::istreambuf_iterator<char>(in), {}};
  EXPECT_THAT(timer, HasSubstr("\nOnCalendar=*:0/15\n"));
  EXPECT_THAT(timer, HasSubstr(fmt::format("\nRandomizedDelaySec={}s\n", FleetOptions().timer_delay.count())));
  EXPECT_THAT(timer, HasSubstr("\nFixedRandomDelay=yes\n"));
}

TEST(AFleet, OfTheSameSeedIsTheSame) {
  FleetOptions options{.devices = 500, .duration = days(70)};
  const FleetLoad one = simulate(options);
  EXPECT_EQ(one.requests, simulate(options).requests);
  options.seed = 2;
  EXPECT_NE(one.requests, simulate(options).requests);
}

TEST(AFleet, WhoseServerNeverComesBackExpires) {
  const FleetOptions options{.devices = 500, .duration = days(100), .outage_at = hours(2), .outage = days(98)};
  EXPECT_EQ(simulate(options).expired, 500U);
}

TEST(ThePeaks, AreThoseOutsideOfTheEnrollmentsAndTheOutage) {
  const FleetOptions options{.duration = days(1), .outage_at = hours(6)};
  std::vector<std::uint32_t> load(24UL * 60, 2);
  load[5] = 1000;             // an enrollment
  load[(6 * 60) + 5] = 1000;  // in the outage
  load[(12 * 60) + 59] = 12;  // in the hour after it
  load[13UL * 60] = 6;
  const Peaks found = peaks(load, options);
  EXPECT_NEAR(found.mean, 2, 0.05);
  EXPECT_NEAR(found.after_outage, 6, 0.1);
  EXPECT_NEAR(found.over_mean, 3, 0.1);
}

TEST(ThePictureOfTheLoad, ShowsTheMeanTheLimitsAndTheOutage) {
  const FleetOptions options{.duration = days(1), .outage_at = hours(6)};
  const std::vector<std::uint32_t> load(24UL * 60, 10);
  const std::string svg = load_picture({{.title = "A day", .load = load, .to = days(1), .in_hours = true}}, options);
  EXPECT_THAT(svg, HasSubstr(">A day<"));
  EXPECT_THAT(svg, HasSubstr(">mean: 10.0<"));
  EXPECT_THAT(svg, HasSubstr(">5 × mean: 50.0<"));
  EXPECT_THAT(svg, HasSubstr(R"(<rect x="250.0" width="250.0" height="240" class="outage"/>)"));
}

}  // namespace
}  // namespace devid::test
