#include "dbus/ctl/say.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <array>
#include <ctime>
#include <iostream>

namespace devid::ctl {
namespace {

/// "23 days", in the largest unit of which there are at least two, or one minute at least.
std::string span(std::int64_t seconds) {
  struct Unit {
    std::int64_t length;
    const char* name;
  };
  constexpr std::array units{Unit{std::int64_t{365} * 86400, "years"}, Unit{86400, "days"}, Unit{3600, "hours"},
                             Unit{60, "minutes"}};
  for (const auto& unit : units)
    if (seconds >= 2 * unit.length) return fmt::format("{} {}", seconds / unit.length, unit.name);
  return fmt::format("{} seconds", seconds);
}

}  // namespace

Exit exit_of(const Error& error) {
  switch (error.code) {
    case Errc::usage: return Exit::usage;
    case Errc::no_such_identity: return Exit::no_such_identity;
    case Errc::not_authorized: return Exit::not_authorized;
    default: return Exit::failed;
  }
}

Exit complain(const Error& error) {
  std::cerr << "error: " << error.sentence() << '\n';
  if (!error.hint.empty()) std::cerr << "hint: " << printable(error.hint) << '\n';
  return exit_of(error);
}

std::string moment(std::uint64_t seconds_since_epoch) {
  if (seconds_since_epoch == 0) return "never";
  const auto time = static_cast<std::time_t>(seconds_since_epoch);
  const std::int64_t away = time - std::time(nullptr);
  std::tm local{};
  if (::localtime_r(&time, &local) == nullptr) return std::to_string(seconds_since_epoch);
  const std::string relative = away == 0 ? "now" : away > 0 ? "in " + span(away) : span(-away) + " ago";
  return fmt::format("{:%Y-%m-%d %H:%M} ({})", local, relative);
}

}  // namespace devid::ctl
