#include "tests/support/shifted_clock.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <stdexcept>

namespace devid::test {

ShiftedClock::ShiftedClock(const std::filesystem::path& directory) : directory_(directory) {
  const std::int64_t none = 0;
  offset_ = ::open((directory_ / "clock-offset").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  const bool written = ::pwrite(offset_, &none, sizeof none, 0) == sizeof none;
  const bool made = ::mkfifo((directory_ / "clock-jumps").c_str(), 0600) == 0;
  jumps_ = ::open((directory_ / "clock-jumps").c_str(), O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (!written || !made || jumps_ < 0) throw std::runtime_error("cannot make a clock");
}

ShiftedClock::~ShiftedClock() {
  ::close(offset_);
  ::close(jumps_);
}

std::vector<std::string> ShiftedClock::environment() const {
  // A sanitizer wants to be the first library, and can do without.
  return {"LD_PRELOAD=" DEVID_SHIFTED_CLOCK, "DEVID_TEST_CLOCK=" + directory_.string(),
          "ASAN_OPTIONS=verify_asan_link_order=0"};
}

void ShiftedClock::set(std::chrono::seconds ahead) const {
  const std::int64_t offset = ahead.count();
  const char jump = 1;
  if (::pwrite(offset_, &offset, sizeof offset, 0) != sizeof offset || ::write(jumps_, &jump, 1) != 1)
    throw std::runtime_error("cannot set the clock");
}

}  // namespace devid::test
