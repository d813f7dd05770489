#include "agent/identity/calendar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>

namespace devid::identity {
namespace {

using testing::HasSubstr;

/// Sets the time zone for the length of a test.
class InZone {
 public:
  explicit InZone(const char* zone) {
    ::setenv("TZ", zone, 1);
    ::tzset();
  }
  InZone(const InZone&) = delete;
  InZone& operator=(const InZone&) = delete;
  InZone(InZone&&) = delete;
  InZone& operator=(InZone&&) = delete;
  ~InZone() {
    ::unsetenv("TZ");
    ::tzset();
  }
};

// A Wednesday.
const Time now = std::chrono::sys_days(std::chrono::November / 25 / 2026) + std::chrono::hours(13);

std::string next(const std::string& rule, Time after = now) {
  const auto events = CalendarEvents::parse(rule);
  if (!events) return events.error().sentence();
  const auto time = events->next(after);
  return time ? utc_text(*time) : "never";
}

struct Event {
  const char* rule;
  const char* next;
};

void PrintTo(const Event& event, std::ostream* out) { *out << event.rule; }

class ACalendarEvent : public testing::TestWithParam<Event> {};

// The second column is what `systemd-analyze calendar` of systemd 252 says of the first, in UTC, at that time.
TEST_P(ACalendarEvent, IsNextAtThatTime) { EXPECT_EQ(next(GetParam().rule), GetParam().next); }

INSTANTIATE_TEST_SUITE_P(
    Each, ACalendarEvent,
    testing::Values(Event{"daily", "2026-11-26 00:00:00 UTC"}, Event{"hourly", "2026-11-25 14:00:00 UTC"},
                    Event{"minutely", "2026-11-25 13:01:00 UTC"}, Event{"weekly", "2026-11-30 00:00:00 UTC"},
                    Event{"monthly", "2026-12-01 00:00:00 UTC"}, Event{"quarterly", "2027-01-01 00:00:00 UTC"},
                    Event{"semiannually", "2027-01-01 00:00:00 UTC"}, Event{"yearly", "2027-01-01 00:00:00 UTC"},
                    Event{"annually", "2027-01-01 00:00:00 UTC"}, Event{"Sat", "2026-11-28 00:00:00 UTC"},
                    Event{"Saturday 02:00", "2026-11-28 02:00:00 UTC"},
                    Event{"Sat *-*-* 02:00", "2026-11-28 02:00:00 UTC"}, Event{"wed 13:00", "2026-12-02 13:00:00 UTC"},
                    Event{"wed 13:01", "2026-11-25 13:01:00 UTC"}, Event{"Mon..Fri 4:30", "2026-11-26 04:30:00 UTC"},
                    Event{"Sat,Sun 03:00:00", "2026-11-28 03:00:00 UTC"},
                    Event{"*-*-1..7 3:00", "2026-12-01 03:00:00 UTC"},
                    Event{"Sun *-*-1..7 3:00", "2026-12-06 03:00:00 UTC"},
                    Event{"*-02-29 12:00", "2028-02-29 12:00:00 UTC"}, Event{"2030-01-01", "2030-01-01 00:00:00 UTC"},
                    Event{"12-24 18:00", "2026-12-24 18:00:00 UTC"}, Event{"*:0/15", "2026-11-25 13:15:00 UTC"},
                    Event{"8..18/2:30", "2026-11-25 14:30:00 UTC"}, Event{"*-1/3-1 5:00", "2027-01-01 05:00:00 UTC"},
                    Event{"02:00 UTC", "2026-11-26 02:00:00 UTC"}, Event{"  Sat   02:00  ", "2026-11-28 02:00:00 UTC"},
                    Event{"2020-01-01", "never"}),
    [](const auto& param) { return std::to_string(param.index); });

class NoCalendarEvent : public testing::TestWithParam<const char*> {};

TEST_P(NoCalendarEvent, IsRefused) {
  const auto events = CalendarEvents::parse(GetParam());
  ASSERT_FALSE(events);
  EXPECT_EQ(events.error().code, Errc::config_invalid);
  EXPECT_THAT(events.error().what, HasSubstr("is no calendar event"));
  EXPECT_FALSE(events.error().hint.empty());
}

INSTANTIATE_TEST_SUITE_P(Each, NoCalendarEvent,
                         testing::Values("", " ", "UTC", "sometimes", "Sat 02", "02", "Sat..Mon 02:00", "25:00",
                                         "02:60", "02:00:30", "*-13-01", "*-00-01", "*-01-32", "1-2-3-4", "2:3:4:5",
                                         "*:0/0", "*:-1", "*:", ":", "-", "a-b", "02:00 Sat", "02:00 Europe/Berlin",
                                         "*-*~1", "Sat Sun", "Fri.. 02:00", "99999-01-01", "1..:00", "*:5..1"),
                         [](const auto& param) { return std::to_string(param.index); });

TEST(ACalendarEventThatNeverHappens, IsRefused) {
  for (const char* rule : {"*-02-30", "2027-02-29", "*-04,6,9,11-31 12:00"})
    EXPECT_THAT(next(rule), HasSubstr("never happens")) << rule;
}

TEST(ACalendarEvent, IsInLocalTimeUnlessItSaysUtc) {
  const InZone zone("Europe/Berlin");
  EXPECT_EQ(next("Sat 02:00"), "2026-11-28 01:00:00 UTC");
  EXPECT_EQ(next("Sat 02:00 UTC"), "2026-11-28 02:00:00 UTC");
  // On 2027-03-28 the clocks go from 02:00 to 03:00.
  EXPECT_EQ(next("2027-03-28 02:30"), "2027-03-28 01:30:00 UTC");
}

TEST(ACalendarEvent, IsFoundWhereTheDayIsAnotherThanInUtc) {
  const InZone zone("Pacific/Auckland");
  // There it is 02:00 on Thursday.
  EXPECT_EQ(next("Thu 03:00"), "2026-11-25 14:00:00 UTC");
}

}  // namespace
}  // namespace devid::identity
