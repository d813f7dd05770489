#include "agent/identity/explanation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using testing::ElementsAre;

constexpr Time january = std::chrono::sys_days(std::chrono::January / 1 / 2026);
constexpr Time end = january + days(90);
constexpr Time planned = january + days(60);

Situation valid(Record record = {}) {
  return {.credential = Holding{.validity = {january, end}, .since = record.last_success}, .record = std::move(record)};
}

Record failed(Time last, Time next) {
  return {.attempts = 3,
          .method = JobKind::renew,
          .last_attempt = last,
          .last_success = january,
          .next_attempt = next,
          .last_error =
              Error{.code = Errc::server_unavailable, .retry = Retry::later, .what = "cannot renew", .reason = "503"}};
}

TEST(AnExplanation, OfAValidCredentialSaysWhatIsPlanned) {
  EXPECT_THAT(
      explain(valid(), {}, january + days(1)),
      ElementsAre("valid: valid until 2026-04-01 00:00:00 UTC; renews at 2026-03-02 00:00:00 UTC",
                  "its renewal is planned for 2026-03-02 00:00:00 UTC: 2/3 of its lifetime is 2026-03-02 00:00:00 UTC, "
                  "and each device comes up to 10 % of the lifetime before that, at its own moment",
                  "next comes at 2026-03-02 00:00:00 UTC, in 59d: a renewal, authenticated by the current credential",
                  "if the credential is refused, or its key is gone, an enrollment with the IDevID follows in the same "
                  "job; after any failure it is tried again, after 1min to 1d, for good",
                  "if nothing works until then, the credential expires at 2026-04-01 00:00:00 UTC, in 89d"));
}

TEST(AnExplanation, OfAFailureSaysHowManyThereWereAndHowMuchTimeIsLeft) {
  Profile profile;
  profile.renewal.at = BeforeExpiry{days(30)};
  profile.renewal.spread = 0;
  profile.renewal.enroll_again = false;
  EXPECT_THAT(
      explain(valid(failed(planned, planned + minutes(90))), profile, planned),
      ElementsAre(
          "degraded: valid until 2026-04-01 00:00:00 UTC; the last renewal failed: cannot renew (503); tries "
          "again at 2026-03-02 01:30:00 UTC",
          "its renewal is planned for 2026-03-02 00:00:00 UTC: 30d before its expiry is 2026-03-02 00:00:00 UTC",
          "3 attempts in a row failed since 2026-01-01 00:00:00 UTC",
          "next comes at 2026-03-02 01:30:00 UTC, in 1h 30min: a renewal, authenticated by the current "
          "credential",
          "the profile forbids another enrollment with the IDevID (renewal.enroll_again); after any failure it "
          "is tried again, after 1min to 1d, for good",
          "if nothing works until then, the credential expires at 2026-04-01 00:00:00 UTC, in 30d"));
}

TEST(AnExplanation, OfAWindowSaysWhenItOpens) {
  Profile profile;
  profile.renewal.window = MaintenanceWindow{.opens = *CalendarEvents::parse("Sat 02:00 UTC"), .length = hours(2)};
  EXPECT_THAT(explain(valid(), profile, january),
              testing::Contains("renewals begin in the window 'Sat 02:00 UTC', for 2h; it opens at 2026-01-03 02:00:00 "
                                "UTC, in 2d 2h; one that cannot wait passes it over"));
  profile.renewal.window->opens = *CalendarEvents::parse("2020-01-01");
  EXPECT_THAT(explain(valid(), profile, january), testing::Contains(testing::HasSubstr("it opens never again")));
}

TEST(AnExplanation, OfWhatNeverWasOrIsOverSaysSo) {
  EXPECT_EQ(explain({}, {}, january).back(), "there is no credential yet that could expire");
  EXPECT_EQ(explain(valid(), {}, end + hours(25)).back(),
            "the credential expired 1d 1h ago; its files stay until another takes their place");
  Situation early = valid();
  early.clock_floor = january;
  EXPECT_THAT(explain(early, {}, Time(hours(1))), testing::SizeIs(1)) << "nothing that is reckoned by a wrong clock";
  EXPECT_THAT(explain(valid({.revoked = true}), {}, january + days(1)),
              testing::Contains("next comes at the next run: an enrollment with the IDevID"));
}

struct Warning {
  const char* name;
  Time now;
  std::optional<std::uint32_t> percent;
};

void PrintTo(const Warning& row, std::ostream* out) { *out << row.name; }

class AnExpiryWarning : public testing::TestWithParam<Warning> {};

// The planned renewal is 30 days before the expiry.
TEST_P(AnExpiryWarning, IsGivenByWhatIsLeft) {
  EXPECT_EQ(expiry_warning(valid(), {}, GetParam().now), GetParam().percent);
}

INSTANTIATE_TEST_SUITE_P(
    Each, AnExpiryWarning,
    testing::Values(Warning{"NotBeforeTheRenewal", planned - hours(1), {}},
                    Warning{"NotWhenTheRenewalIsDue", planned, {}}, Warning{"NotYet", planned + days(14), {}},
                    Warning{"AtHalf", planned + days(15), 50}, Warning{"UntilAQuarter", end - hours(181), 50},
                    Warning{"AtAQuarter", end - hours(180), 25}, Warning{"AtATenth", end - days(3), 10},
                    Warning{"AtAHundredth", end - minutes(432), 1}, Warning{"InTheLastSecond", end, 1},
                    Warning{"AfterTheEnd", end + Seconds(1), 0}, Warning{"NotByAClockThatIsWrong", Time(hours(1)), {}}),
    [](const auto& param) { return param.param.name; });

TEST(AnExpiryWarning, IsNotGivenWithoutACredential) { EXPECT_FALSE(expiry_warning({}, {}, end)); }

TEST(AnExpiryWarning, SaysWhatIsMissingAndUntilWhen) {
  EXPECT_EQ(expiry_sentence(valid(failed(planned, planned + hours(1))), {}, end - days(3)),
            "the renewal that was planned for 2026-03-02 00:00:00 UTC has not come about: cannot renew (503); the "
            "credential expires at 2026-04-01 00:00:00 UTC, in 3d");
  EXPECT_EQ(
      expiry_sentence(valid(), {}, end + days(3)),
      "the credential has expired at 2026-04-01 00:00:00 UTC; the renewal that was planned for 2026-03-02 00:00:00 "
      "UTC did not come about: no attempt has been made since; its files stay, and devid keeps trying");
}

TEST(ASpan, IsWrittenInItsTwoLargestUnits) {
  EXPECT_EQ(span_text(days(3) + hours(4) + minutes(5)), "3d 4h");
  EXPECT_EQ(span_text(days(3) + minutes(5)), "3d");
  EXPECT_EQ(span_text(minutes(65)), "1h 5min");
  EXPECT_EQ(span_text(Seconds(61)), "1min 1s");
  EXPECT_EQ(span_text(Seconds(7)), "7s");
  EXPECT_EQ(span_text(Seconds(0)), "0s");
}

}  // namespace
}  // namespace devid::identity
