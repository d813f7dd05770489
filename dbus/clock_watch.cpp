#include "dbus/clock_watch.h"

#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <ctime>
#include <limits>
#include <system_error>
#include <utility>

namespace devid {

ClockWatch::ClockWatch(EventLoop& loop, std::function<void()> jumped)
    : loop_(loop), jumped_(std::move(jumped)), fd_(::timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK)) {
  if (fd_ < 0) throw std::system_error(errno, std::generic_category(), "timerfd_create");
  arm();
  loop_.watch(fd_, [this] { look(); });
}

ClockWatch::~ClockWatch() {
  loop_.unwatch(fd_);
  ::close(fd_);
}

/// A time that never comes: only the jump ends the timer.
void ClockWatch::arm() const {
  itimerspec never{};
  never.it_value.tv_sec = std::numeric_limits<time_t>::max();
  static_cast<void>(  // it fails for wrong arguments alone
      ::timerfd_settime(fd_, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, nullptr));
}

void ClockWatch::look() const {
  std::uint64_t expirations = 0;
  const bool jumped = ::read(fd_, &expirations, sizeof expirations) >= 0 || errno == ECANCELED;
  arm();
  if (jumped) jumped_();
}

}  // namespace devid
