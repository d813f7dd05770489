#pragma once

#include <functional>

#include "dbus/event_loop.h"

namespace devid {

/// Tells when the real-time clock was set, by whomever, and when the device has slept (timerfd_create(2),
/// TFD_TIMER_CANCEL_ON_SET). A clock that is slewed is not set. It costs no wakeup in between.
class ClockWatch {
 public:
  /// `jumped` runs on the loop's thread. Throws std::system_error.
  ClockWatch(EventLoop& loop, std::function<void()> jumped);
  ClockWatch(const ClockWatch&) = delete;
  ClockWatch& operator=(const ClockWatch&) = delete;
  ClockWatch(ClockWatch&&) = delete;
  ClockWatch& operator=(ClockWatch&&) = delete;
  ~ClockWatch();

 private:
  void arm() const;
  void look() const;

  EventLoop& loop_;
  std::function<void()> jumped_;
  int fd_;
};

}  // namespace devid
