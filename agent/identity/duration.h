#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/clock.h"

namespace devid::identity {

/// A time span as configuration writes it: a whole number and its unit, "90s", "15min", "6h", "30d". None for anything
/// else, and for more than nine digits.
std::optional<Seconds> parse_duration(std::string_view text);

/// The other way, in the largest unit that needs no fraction.
std::string duration_text(Seconds duration);

}  // namespace devid::identity
