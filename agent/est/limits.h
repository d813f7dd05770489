#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "base/clock.h"

namespace devid::est {

/// How much of a server is put up with.
struct Limits {
  Seconds connect_timeout{15};
  Seconds request_timeout{60};  ///< for one operation, from request to the last byte of the answer
  std::optional<std::chrono::steady_clock::time_point> deadline;  ///< for all operations together; none: no such
  std::size_t answer_bytes = 1U << 20U;
};

}  // namespace devid::est
