#include "dbus/event_loop.h"

#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <limits>
#include <system_error>
#include <utility>

namespace devid {
namespace {

using Steady = std::chrono::steady_clock;

int checked(int fd, const char* call) {
  if (fd < 0) throw std::system_error(errno, std::generic_category(), call);
  return fd;
}

int open_signals() {
  sigset_t set{};
  sigemptyset(&set);
  for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return checked(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK), "signalfd");
}

/// The shorter of two waits for poll(2), where -1 is for ever.
int shorter(int one, int other) {
  if (one < 0) return other;
  return other < 0 ? one : std::min(one, other);
}

int milliseconds_until(Steady::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Steady::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, std::numeric_limits<int>::max()));
}

}  // namespace

EventLoop::EventLoop()
    : wake_fd_(checked(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), "eventfd")), signal_fd_(open_signals()) {}

EventLoop::~EventLoop() {
  ::close(wake_fd_);
  ::close(signal_fd_);
}

void EventLoop::post(Task task) {
  {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(task));
  }
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_, &one, sizeof one);  // full is as good: it wakes
}

void EventLoop::after(std::chrono::milliseconds delay, Task task) {
  timers_.emplace(Steady::now() + delay, std::move(task));
}

void EventLoop::watch(int fd, Task readable) { watched_[fd] = std::move(readable); }

void EventLoop::unwatch(int fd) { watched_.erase(fd); }

void EventLoop::discard_posted() {
  timers_.clear();
  std::vector<Task> tasks;  // destroyed without the lock: a task may own anything
  const std::lock_guard lock(mutex_);
  tasks.swap(posted_);
}

bool EventLoop::run_posted() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t got = ::read(wake_fd_, &count, sizeof count);
  std::vector<Task> tasks;
  {
    const std::lock_guard lock(mutex_);
    tasks.swap(posted_);
  }
  for (auto& task : tasks) task();
  return !tasks.empty();
}

bool EventLoop::serve(sdbus::IConnection& connection) {
  bool any = false;
  while (!quit_ && connection.processPendingRequest()) any = true;
  return any;
}

bool EventLoop::take_signal() const {
  signalfd_siginfo info{};
  bool end = false;
  while (::read(signal_fd_, &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
    if (info.ssi_signo == SIGHUP && hangup_) {
      hangup_();
    } else {
      end = true;
    }
  }
  return end;
}

/// Those that are over now; what they add waits for the next round.
void EventLoop::run_timers() {
  const auto now = Steady::now();
  std::vector<Task> tasks;
  while (!timers_.empty() && timers_.begin()->first <= now) {
    tasks.push_back(std::move(timers_.begin()->second));
    timers_.erase(timers_.begin());
  }
  for (auto& task : tasks) task();
}

/// A task may unwatch any descriptor, its own, too.
void EventLoop::run_watched(const std::vector<pollfd>& fds) {
  for (const auto& polled : fds) {
    if (polled.revents == 0) continue;
    const auto found = watched_.find(polled.fd);
    if (found == watched_.end()) continue;
    const Task task = found->second;
    task();
  }
}

EventLoop::End EventLoop::run(sdbus::IConnection& connection, std::optional<std::chrono::seconds> idle,
                              const std::function<bool()>& may_rest) {
  quit_ = false;
  auto active = Steady::now();
  while (true) {
    run_timers();
    const bool posted = run_posted();
    const bool served = serve(connection);
    if (quit_) return End::quit;
    if (posted || served || !may_rest()) active = Steady::now();
    if (idle && may_rest() && Steady::now() - active >= *idle) return End::idle;

    const auto bus = connection.getEventLoopPollData();
    std::vector<pollfd> fds{{bus.fd, bus.events, 0}, {wake_fd_, POLLIN, 0}, {signal_fd_, POLLIN, 0}};
    for (const auto& [fd, task] : watched_) fds.push_back({fd, POLLIN, 0});
    int wait = bus.getPollTimeout();
    if (!timers_.empty()) wait = shorter(wait, milliseconds_until(timers_.begin()->first));
    if (idle && may_rest()) wait = shorter(wait, milliseconds_until(active + *idle));
    if (::poll(fds.data(), fds.size(), wait) < 0 && errno != EINTR) return End::disconnected;
    if (fds[2].revents != 0 && take_signal()) return End::signal;
    if ((fds[0].revents & (POLLHUP | POLLERR)) != 0) return End::disconnected;
    run_watched(fds);
  }
}

}  // namespace devid
