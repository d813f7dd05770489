#include "agent/identity/calendar.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>
#include <utility>

namespace devid::identity {
namespace {

using Field = CalendarEvents::Field;
using Range = CalendarEvents::Range;
using std::chrono::days;

constexpr Seconds horizon = days(3660);

bool matches(const Field& field, std::int32_t value) {
  return std::ranges::any_of(field, [value](const Range& range) {
    return value >= range.first && value <= range.last && (value - range.first) % range.step == 0;
  });
}

struct Shorthand {
  std::string_view name;
  std::string_view rule;
};
constexpr std::array<Shorthand, 8> shorthands{{{"minutely", "*-*-* *:*"},
                                               {"hourly", "*-*-* *:00"},
                                               {"daily", "*-*-* 00:00"},
                                               {"weekly", "Mon *-*-* 00:00"},
                                               {"monthly", "*-*-01 00:00"},
                                               {"quarterly", "*-1,4,7,10-01 00:00"},
                                               {"semiannually", "*-1,7-01 00:00"},
                                               {"yearly", "*-01-01 00:00"}}};

constexpr std::array<std::string_view, 7> weekdays{"monday", "tuesday",  "wednesday", "thursday",
                                                   "friday", "saturday", "sunday"};

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return result;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

std::optional<std::int32_t> number(std::string_view text) {
  std::int32_t value = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool whole = failed == std::errc() && end == text.data() + text.size() && text.size() <= 4;
  return whole && value >= 0 ? std::optional(value) : std::nullopt;
}

/// "mon" or "monday": 1.
std::optional<std::int32_t> weekday(std::string_view text) {
  for (std::size_t i = 0; i < weekdays.size(); ++i)
    if (text == weekdays.at(i) || text == weekdays.at(i).substr(0, 3)) return static_cast<std::int32_t>(i + 1);
  return std::nullopt;
}

using Value = std::optional<std::int32_t> (*)(std::string_view);

/// "A", "A..B", "A/STEP", "A..B/STEP" or "*/STEP", of which A and B lie within the limits.
std::optional<Range> parse_range(std::string_view text, Range limits, Value value) {
  Range range = limits;
  const std::size_t slash = text.find('/');
  if (slash != std::string_view::npos) {
    const auto step = number(text.substr(slash + 1));
    if (!step || *step == 0) return std::nullopt;
    range.step = *step;
    text = text.substr(0, slash);
  }
  if (text == "*") return range;
  const std::size_t dots = text.find("..");
  const auto first = value(text.substr(0, dots));
  if (!first || *first < limits.first || *first > limits.last) return std::nullopt;
  range.first = *first;
  if (dots == std::string_view::npos) {
    if (slash == std::string_view::npos) range.last = *first;
    return range;
  }
  const auto last = value(text.substr(dots + 2));
  if (!last || *last < *first || *last > limits.last) return std::nullopt;
  range.last = *last;
  return range;
}

std::optional<Field> parse_field(std::string_view text, Range limits, Value value = number) {
  Field field;
  for (const std::string& part : split(text, ',')) {
    const auto range = parse_range(part, limits, value);
    if (!range) return std::nullopt;
    field.push_back(*range);
  }
  return field;
}

/// The time of this minute of a day, in local time.
std::optional<Time> local_time(std::chrono::year_month_day day, std::int32_t hour, std::int32_t minute) {
  std::tm parts{};
  parts.tm_year = static_cast<int>(day.year()) - 1900;
  parts.tm_mon = static_cast<int>(static_cast<unsigned>(day.month())) - 1;
  parts.tm_mday = static_cast<int>(static_cast<unsigned>(day.day()));
  parts.tm_hour = hour;
  parts.tm_min = minute;
  parts.tm_isdst = -1;
  const std::time_t time = std::mktime(&parts);
  return time == -1 ? std::nullopt : std::optional(Time(Seconds(time)));
}

}  // namespace

/// Takes a calendar event apart.
class CalendarParser {
 public:
  explicit CalendarParser(std::string_view text) : text_(text) {
    for (const std::string& word : split(lower(text), ' '))
      if (!word.empty()) words_.push_back(word);
  }

  Result<CalendarEvents> run() {
    if (words_.size() > 1 && words_.back() == "utc") {
      rule_.utc = true;
      words_.pop_back();
    }
    if (words_.size() == 1) expand();
    if (!take_all() || !words_.empty()) return refuse("is no calendar event", "see systemd.time(7): \"Sat 02:00\"");
    CalendarEvents events{std::string(text_), rule_};
    const auto year = std::ranges::min(rule_.years, {}, &Range::first).first;
    if (!events.next(std::chrono::sys_days(std::chrono::year(year) / 1 / 1) - days(1)))
      return refuse("never happens", "write a day that there is");
    return events;
  }

 private:
  using Rule = CalendarEvents::Rule;

  void expand() {
    const std::string word = words_.front() == "annually" ? "yearly" : words_.front();
    for (const Shorthand& shorthand : shorthands)
      if (word == shorthand.name) words_ = split(lower(shorthand.rule), ' ');
  }

  /// Each of the three may be absent, not all of them: any day, midnight.
  bool take_all() {
    if (words_.empty()) return false;
    return take(&CalendarParser::is_weekdays, &CalendarParser::parse_weekdays) &&
           take(&CalendarParser::is_date, &CalendarParser::parse_date) &&
           take(&CalendarParser::is_time, &CalendarParser::parse_time);
  }

  bool take(bool (*is)(const std::string&), bool (CalendarParser::*set_from)(const std::string&)) {
    if (words_.empty() || !is(words_.front())) return true;
    const std::string word = words_.front();
    words_.erase(words_.begin());
    return (this->*set_from)(word);
  }

  static bool is_weekdays(const std::string& word) { return word.front() >= 'a' && word.front() <= 'z'; }
  static bool is_date(const std::string& word) { return word.find('-') != std::string::npos; }
  static bool is_time(const std::string& word) { return word.find(':') != std::string::npos; }

  bool parse_weekdays(const std::string& word) { return set(rule_.weekdays, word, {1, 7}, weekday); }

  bool parse_date(const std::string& word) {
    auto parts = split(word, '-');
    if (parts.size() == 2) parts.insert(parts.begin(), "*");
    return parts.size() == 3 && set(rule_.years, parts[0], {1970, 2199}) && set(rule_.months, parts[1], {1, 12}) &&
           set(rule_.days, parts[2], {1, 31});
  }

  bool parse_time(const std::string& word) {
    const auto parts = split(word, ':');
    if (parts.size() == 3 && number(parts[2]) != 0) return false;
    return (parts.size() == 2 || parts.size() == 3) && set(rule_.hours, parts[0], {0, 23}) &&
           set(rule_.minutes, parts[1], {0, 59});
  }

  static bool set(Field& field, std::string_view text, Range limits, Value value = number) {
    auto parsed = parse_field(text, limits, value);
    if (parsed) field = std::move(*parsed);
    return parsed.has_value();
  }

  [[nodiscard]] Result<CalendarEvents> refuse(std::string_view why, std::string hint) const {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = fmt::format("'{}' {}", printable(text_, 80), why),
                 .hint = std::move(hint)});
  }

  std::string_view text_;
  std::vector<std::string> words_;
  Rule rule_{.weekdays = {{1, 7}},
             .years = {{1970, 2199}},
             .months = {{1, 12}},
             .days = {{1, 31}},
             .hours = {{0, 0}},
             .minutes = {{0, 0}}};
};

Result<CalendarEvents> CalendarEvents::parse(std::string_view text) { return CalendarParser(text).run(); }

std::optional<Time> CalendarEvents::next_on(std::chrono::year_month_day day, Time after) const {
  for (std::int32_t hour = 0; hour < 24; ++hour) {
    if (!matches(rule_.hours, hour)) continue;
    for (std::int32_t minute = 0; minute < 60; ++minute) {
      if (!matches(rule_.minutes, minute)) continue;
      const auto time = rule_.utc ? std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute)
                                  : local_time(day, hour, minute);
      if (time && *time > after) return time;
    }
  }
  return std::nullopt;
}

std::optional<Time> CalendarEvents::next(Time after) const {
  // A day earlier: what is still the day before in UTC may be the next one here.
  auto day = std::chrono::floor<days>(after) - days(1);
  for (const auto end = day + std::chrono::floor<days>(horizon); day <= end; day += days(1)) {
    const std::chrono::year_month_day date(day);
    const auto weekday = static_cast<std::int32_t>(std::chrono::weekday(day).iso_encoding());
    if (!matches(rule_.weekdays, weekday) || !matches(rule_.years, static_cast<int>(date.year())) ||
        !matches(rule_.months, static_cast<std::int32_t>(static_cast<unsigned>(date.month()))) ||
        !matches(rule_.days, static_cast<std::int32_t>(static_cast<unsigned>(date.day()))))
      continue;
    if (const auto time = next_on(date, after)) return time;
  }
  return std::nullopt;
}

}  // namespace devid::identity
