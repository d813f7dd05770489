#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// Points in time by a rule: the calendar events of systemd.time(7), "Sat *-*-* 02:00", "Mon..Fri 4:30", "*-*-1..7 3:00
/// UTC", "daily". In local time, or in UTC where they end in "UTC". To the minute: seconds are 0. The last days of a
/// month (~) and other time zones are not known.
class CalendarEvents {
 public:
  /// Errors: config_invalid, also for a rule by which nothing ever happens: "*-02-30".
  static Result<CalendarEvents> parse(std::string_view text);

  /// The first event after this time; none if there is none within ten years. A local time that summer time leaves out
  /// counts as the one an hour later.
  [[nodiscard]] std::optional<Time> next(Time after) const;

  /// As it was written.
  [[nodiscard]] const std::string& text() const { return text_; }
  bool operator==(const CalendarEvents& other) const { return text_ == other.text_; }

  /// One of the numbers that a field may be: from `first` to `last`, each `step`th.
  struct Range {
    std::int32_t first = 0;
    std::int32_t last = 0;
    std::int32_t step = 1;
  };
  using Field = std::vector<Range>;

 private:
  struct Rule {
    Field weekdays;  ///< 1 is Monday
    Field years;
    Field months;
    Field days;
    Field hours;
    Field minutes;
    bool utc = false;
  };
  CalendarEvents(std::string text, Rule rule) : text_(std::move(text)), rule_(std::move(rule)) {}
  friend class CalendarParser;

  [[nodiscard]] std::optional<Time> next_on(std::chrono::year_month_day day, Time after) const;

  std::string text_;
  Rule rule_;
};

}  // namespace devid::identity
