#pragma once

#include <poll.h>
#include <sdbus-c++/sdbus-c++.h>

#include <chrono>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

namespace devid {

/// The bus thread's loop: one poll(2) over the bus connection, what other threads post, the signals to stop, and what
/// it was asked to watch. It wakes for nothing else.
class EventLoop {
 public:
  using Task = std::function<void()>;

  /// Blocks SIGTERM, SIGINT and SIGHUP for this thread and all that it starts later: make it before any thread.
  EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;
  EventLoop(EventLoop&&) = delete;
  EventLoop& operator=(EventLoop&&) = delete;
  ~EventLoop();

  /// Lets `task` run on the loop's thread, after what was posted before. From any thread, at any time.
  void post(Task task);

  /// Runs `task` on the loop's thread when this time has passed. On the loop's thread.
  void after(std::chrono::milliseconds delay, Task task);

  /// Runs `readable` whenever there is something to read from `fd`, which stays the caller's and is not closed before
  /// unwatch(). On the loop's thread. Neither this nor after() counts as something that happens: run() ends for
  /// idleness all the same.
  void watch(int fd, Task readable);
  void unwatch(int fd);

  /// Drops what was posted, or was to run later, and has not run. On the loop's thread, once nobody posts any more.
  void discard_posted();

  /// Makes run() return after the current task. On the loop's thread.
  void quit() { quit_ = true; }

  /// What SIGHUP does; without it the signal ends the loop like the others.
  void on_hangup(Task task) { hangup_ = std::move(task); }

  enum class End { quit, signal, idle, disconnected };

  /// Serves the connection until quit(), a signal, the end of the connection, or `idle` has passed without any message
  /// or task while `may_rest` says that nothing is going on. No `idle`: never ends for that.
  End run(
      sdbus::IConnection& connection, std::optional<std::chrono::seconds> idle = std::nullopt,
      const std::function<bool()>& may_rest = [] { return true; });

 private:
  bool serve(sdbus::IConnection& connection);
  bool run_posted();
  [[nodiscard]] bool take_signal() const;
  void run_timers();
  void run_watched(const std::vector<pollfd>& fds);

  int wake_fd_;
  int signal_fd_;
  bool quit_ = false;
  Task hangup_;
  std::multimap<std::chrono::steady_clock::time_point, Task> timers_;
  std::map<int, Task> watched_;
  std::mutex mutex_;  ///< guards posted_
  std::vector<Task> posted_;
};

}  // namespace devid
