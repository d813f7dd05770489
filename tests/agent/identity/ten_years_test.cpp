#include <fmt/chrono.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/agent/identity/pole.h"

namespace devid::identity {
namespace {

using std::chrono::days;
using testing::ContainsRegex;
using testing::Each;
using testing::IsEmpty;
using testing::Not;

constexpr Time january = std::chrono::sys_days(std::chrono::January / 1 / 2026);
constexpr Seconds ten_years = days(3653);

class TenYearsOnAPole : public testing::TestWithParam<std::uint64_t> {};

TEST_P(TenYearsOnAPole, AreDaysWithACertificateWhereverOneWasToBeHad) {
  const Story story = Pole(GetParam(), january, ten_years).live();
  Seconds without{};
  Seconds longest{};
  for (const Gap& gap : story.gaps) {
    SCOPED_TRACE(
        fmt::format("from {} to {}: {}", utc_text(gap.begin), utc_text(gap.end), fmt::join(gap.reasons, " | ")));
    EXPECT_EQ(gap.unexcused, Seconds(0));
    EXPECT_THAT(gap.reasons, Not(IsEmpty()));
    EXPECT_THAT(gap.reasons,
                Each(ContainsRegex("failed: |needs the operator: |has accepted the request|no power|at the "
                                   "next run|wrong clock")));
    EXPECT_TRUE(gap.tried_before);
    without += gap.end - gap.begin;
    longest = std::max(longest, Seconds(gap.end - gap.begin));
  }
  EXPECT_LT(story.revoked_in_vain, days(3));
  fmt::print(
      "seed {}: {} certificates, {} attempts, {} of them failed, {} power cuts, {} looks; {} stretches without a "
      "certificate, {:.1f} days, the longest {:.1f}\n",
      GetParam(), story.certificates, story.attempts, story.failures, story.power_cuts, story.looks, story.gaps.size(),
      static_cast<double>(without.count()) / 86400, static_cast<double>(longest.count()) / 86400);
}

INSTANTIATE_TEST_SUITE_P(Seeds, TenYearsOnAPole, testing::Range<std::uint64_t>(1, 9));

}  // namespace
}  // namespace devid::identity
