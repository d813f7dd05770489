#pragma once

#include <optional>
#include <string_view>

#include "base/clock.h"

namespace devid::est {

/// Retry-After (RFC 9110 10.2.3): seconds, or an HTTP date. A date counts from the answer's own Date, so that a device
/// whose clock is wrong waits as long as the server meant. At least 1 s, at most 30 days. None for what is neither, and
/// for a date in an answer without one.
std::optional<Seconds> parse_retry_after(std::string_view value, std::string_view date);

}  // namespace devid::est
