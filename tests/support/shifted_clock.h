#pragma once

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

namespace devid::test {

/// A real-time clock for one other program, which can be set without setting anybody else's: the program is started
/// with environment(), and sees this process's clock and the shift. A timer that wants to hear that the clock was set
/// (TFD_TIMER_CANCEL_ON_SET) hears of it. Who sets the machine's clock in a test hurts everybody on it, and there is no
/// namespace for that clock.
class ShiftedClock {
 public:
  /// Its two files are made in `directory`. Throws std::runtime_error.
  explicit ShiftedClock(const std::filesystem::path& directory);
  ShiftedClock(const ShiftedClock&) = delete;
  ShiftedClock& operator=(const ShiftedClock&) = delete;
  ShiftedClock(ShiftedClock&&) = delete;
  ShiftedClock& operator=(ShiftedClock&&) = delete;
  ~ShiftedClock();

  /// "NAME=value", for the program.
  [[nodiscard]] std::vector<std::string> environment() const;

  /// Sets the program's clock to that much ahead of ours.
  void set(std::chrono::seconds ahead) const;

 private:
  std::filesystem::path directory_;
  int offset_ = -1;
  int jumps_ = -1;
};

}  // namespace devid::test
