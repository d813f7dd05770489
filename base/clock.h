#pragma once

#include <chrono>
#include <string>

namespace devid {

/// Seconds since the epoch, UTC.
using Time = std::chrono::sys_seconds;
using Seconds = std::chrono::seconds;

/// "2026-03-01 12:00:00 UTC": how a time is written for people.
std::string utc_text(Time time);

/// Where the time comes from. Everything that decides by time is given one: tests turn it by hand.
class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  Clock(Clock&&) = delete;
  Clock& operator=(Clock&&) = delete;
  virtual ~Clock() = default;
  [[nodiscard]] virtual Time now() const = 0;
  /// No time before this one can be right.
  [[nodiscard]] virtual Time floor() const { return {}; }
};

/// The system's real-time clock.
class SystemClock final : public Clock {
 public:
  /// `floor`: when the software was built, where that is known.
  explicit SystemClock(Time floor = {}) : floor_(floor) {}
  [[nodiscard]] Time now() const override;
  [[nodiscard]] Time floor() const override { return floor_; }

 private:
  Time floor_;
};

}  // namespace devid
