#pragma once

#include <cstdint>
#include <string>

#include "base/error.h"

namespace devid::ctl {

/// What devidctl exits with (devidctl(1)).
enum class Exit { done = 0, failed = 1, usage = 2, no_such_identity = 3, not_authorized = 4, pending = 5 };

/// The exit code that fits an error.
Exit exit_of(const Error& error);

/// Prints "error: …" and "hint: …" to standard error, and returns exit_of().
Exit complain(const Error& error);

/// "2026-11-23 14:05 (in 23 days)" in local time; "never" for 0.
std::string moment(std::uint64_t seconds_since_epoch);

}  // namespace devid::ctl
