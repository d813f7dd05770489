#include "agent/identity/duration.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace devid::identity {
namespace {

struct Unit {
  std::string_view name;
  Seconds length;
};
constexpr std::array units{Unit{"d", std::chrono::days(1)}, Unit{"h", std::chrono::hours(1)},
                           Unit{"min", std::chrono::minutes(1)}, Unit{"s", Seconds(1)}};

}  // namespace

std::optional<Seconds> parse_duration(std::string_view text) {
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  if (digits == 0 || digits > 9) return std::nullopt;
  std::int64_t number = 0;
  const std::string_view written = text.substr(0, digits);
  std::from_chars(written.data(), written.data() + written.size(), number);
  const auto* const unit = std::ranges::find(units, text.substr(digits), &Unit::name);
  return unit == units.end() ? std::nullopt : std::optional(number * unit->length);
}

std::string duration_text(Seconds duration) {
  const auto* const unit =
      std::ranges::find_if(units, [&](const Unit& u) { return duration % u.length == Seconds(0); });
  return std::to_string(duration / unit->length).append(unit->name);
}

}  // namespace devid::identity
