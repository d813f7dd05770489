#include "agent/identity/renewal.h"

#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr Time january = std::chrono::sys_days(std::chrono::January / 1 / 2026);
constexpr Validity ninety_days{.not_before = january, .not_after = january + days(90)};

TEST(TheRenewalTime, IsAShareOfTheLifetime) {
  EXPECT_EQ(renewal_time(ninety_days, LifetimeShare{1, 2}).at, january + days(45));
  EXPECT_EQ(renewal_time(ninety_days, LifetimeShare{66, 100}).at, january + Seconds(days(90)) * 66 / 100);
  EXPECT_EQ(renewal_time(ninety_days, RenewAt{}).at, january + days(60));
}

TEST(TheRenewalTime, IsATimeBeforeTheExpiry) {
  const RenewalTime time = renewal_time(ninety_days, BeforeExpiry{days(30)});
  EXPECT_EQ(time.at, january + days(60));
  EXPECT_FALSE(time.clamped);
}

TEST(TheRenewalTime, IsHalfOfTheLifetimeWhereTheTimeBeforeExpiryIsNotShorter) {
  for (const auto before : {days(90), days(365)}) {
    const RenewalTime time = renewal_time(ninety_days, BeforeExpiry{before});
    EXPECT_EQ(time.at, january + days(45));
    EXPECT_TRUE(time.clamped);
  }
}

TEST(TheRenewalTime, FitsACertificateThatNeverExpires) {
  const Time never = std::chrono::sys_days(std::chrono::December / 31 / 9999) + hours(24) - Seconds(1);
  EXPECT_GT(renewal_time({.not_before = january, .not_after = never}, LifetimeShare{999, 1000}).at, january);
}

/// What an enrollment or a renewal has brought, at a device of this share.
Time planned(double share, bool enrolled, std::uint32_t spread = 10, std::optional<Time> since = {}) {
  RenewalPolicy policy;
  policy.spread = spread;
  return planned_renewal({.validity = ninety_days, .since = since, .enrolled = enrolled, .share = share}, policy);
}

TEST(APlannedRenewal, IsSpreadOverATenthOfTheLifetime) {
  EXPECT_EQ(planned(1, false), january + days(60));
  EXPECT_EQ(planned(0, false), january + days(51));
  EXPECT_EQ(planned(0.5, false), january + days(51) + hours(108));
  EXPECT_EQ(planned(0, false, 20), january + days(42));
  EXPECT_EQ(planned(0, false, 0), january + days(60));
}

TEST(APlannedRenewal, OfWhatAnEnrollmentBroughtIsSpreadOverNearlyAll) {
  EXPECT_EQ(planned(1, true), january + days(60));
  EXPECT_EQ(planned(0, true), january + days(6));
  EXPECT_EQ(planned(0.5, true), january + days(33));
  EXPECT_EQ(planned(0, true, 0), january + days(60));
}

TEST(APlannedRenewal, IsReckonedFromWhenTheCertificateCame) {
  EXPECT_EQ(planned(0, true, 10, january + days(10)), january + days(15)) << "a tenth of the way to day 60";
  EXPECT_EQ(planned(0, false, 50, january + days(50)), january + days(51)) << "not more than nine tenths of it";
  EXPECT_EQ(planned(0, true, 10, january - days(1)), january + days(6)) << "a clock that was behind";
}

TEST(APlannedRenewal, OfACertificateThatCameLateIsAfterHalfOfWhatIsLeft) {
  EXPECT_EQ(planned(0, false, 10, january + days(80)), january + days(85));
  EXPECT_EQ(planned(1, true, 10, january + days(60)), january + days(75));
  EXPECT_EQ(planned(1, true, 10, january + days(91)), january + days(60)) << "after it has expired, as good as any";
}

TEST(APlannedRenewal, LiesWithinALifeOfTenMinutesOrTenYears) {
  for (const Seconds life : {Seconds(minutes(10)), Seconds(days(3650))}) {
    const Holding holding{.validity = {january, january + life}, .since = january, .enrolled = true, .share = 0};
    EXPECT_GT(planned_renewal(holding, {}), january + life / 20);
    EXPECT_LT(planned_renewal(holding, {}), january + life);
  }
}

TEST(AShare, IsOfTheFirstDigitsOfTheFingerprint) {
  EXPECT_EQ(share_of("0000000000000fff"), 0);
  EXPECT_EQ(share_of("8000000000000000"), 0.5);
  EXPECT_LT(share_of("ffffffffffffffff"), 1);
  EXPECT_GT(share_of("ffffffffffffffff"), 0.999999);
  EXPECT_EQ(share_of(""), 0);
}

// --- windows: each day from 02:00 to 04:00, the last twenty minutes of which begin nothing ---

struct Opening {
  const char* name;
  Seconds due;  ///< after the planned renewal, 2026-03-02 00:00, of a certificate that lasts 30 days from then on
  Seconds now;
  double share;
  Seconds at;
};

void PrintTo(const Opening& row, std::ostream* out) { *out << row.name; }

constexpr double halfway = 0.5 / 4096;

class AWindow : public testing::TestWithParam<Opening> {};

TEST_P(AWindow, LetsARenewalBegin) {
  const Opening& row = GetParam();
  const MaintenanceWindow window{.opens = *CalendarEvents::parse("02:00 UTC"), .length = hours(2)};
  const Time planned = january + days(60);
  const Holding holding{.validity = ninety_days, .share = row.share};
  EXPECT_EQ(in_window(window, holding, planned, planned + row.due, planned + row.now), planned + row.at);
}

INSTANTIATE_TEST_SUITE_P(
    Each, AWindow,
    testing::Values(Opening{"WhenItOpens", {}, {}, 0, hours(2)},
                    Opening{"AtItsOwnMoment", {}, {}, halfway, hours(2) + minutes(50)},
                    Opening{"AtItsOwnMomentAlsoWhereItHasOpened", {}, hours(2), halfway, hours(2) + minutes(50)},
                    Opening{"AtItsOwnMomentAQuarterLater", {}, hours(2) + minutes(15), halfway, hours(2) + minutes(50)},
                    Opening{"AtOnceAfterItsOwnMoment", {}, hours(3), halfway, hours(3)},
                    Opening{"InTimeBeforeItCloses", {}, {}, 0.9999999 / 4096, hours(2) + minutes(100)},
                    Opening{"ByOtherBitsThanThoseOfTheSpread", {}, {}, 0.5 + halfway, hours(2) + minutes(50)},
                    Opening{"WhenDueWhileItIsOpen", hours(3), {}, 0, hours(3)},
                    Opening{"TheNextDayOnceItHasClosed", {}, hours(4), 0, hours(26)},
                    Opening{"WhenItOpensAfterAWait", hours(50), hours(10), 0, hours(50)},
                    Opening{"OnTheLastDayBeforeHalfOfTheTimeIsOver", {}, days(14) + hours(5), 0, Seconds(0)}),
    [](const auto& param) { return param.param.name; });

TEST(ANewKey, IsDueWithEachSoManiethRenewal) {
  struct Row {
    std::uint32_t every;
    std::uint32_t certificates;
    bool due;
  };
  for (const auto& [every, certificates, due] : std::vector<Row>{
           {1, 1, true}, {0, 1, false}, {0, 1000, false}, {2, 1, false}, {2, 2, true}, {5, 4, false}, {5, 9, true}})
    EXPECT_EQ(is_rekey_due({.rekey_every = every}, certificates), due) << every << ", " << certificates;
}

TEST(AWindowThatNeverOpensAgain, IsPassedOver) {
  const MaintenanceWindow window{.opens = *CalendarEvents::parse("2020-01-01 02:00"), .length = hours(2)};
  EXPECT_EQ(in_window(window, {.validity = ninety_days}, january + days(60), january + days(60), january + days(61)),
            january + days(60));
}

}  // namespace
}  // namespace devid::identity
