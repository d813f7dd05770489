#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <random>
#include <string>

#include "agent/identity/status.h"
#include "base/clock.h"
#include "dbus/event_loop.h"
#include "dbus/network_watch.h"

namespace devid {

/// Lets what failed for lack of a network be tried again soon after the network is back, and not after the whole
/// back-off. A fleet whose network comes back at one moment does not knock at one moment: each device waits for a time
/// of its own. A network that comes and goes, or a server that is what is missing, costs an attempt a minute at first
/// and one in half an hour in the end. Lives on the bus thread.
class Reconnection {
 public:
  using Retry = std::function<void(const std::string& identity)>;

  /// `spread`: no attempt waits longer than that for its own moment.
  Reconnection(EventLoop& loop, const Clock& clock, std::chrono::seconds spread, Retry retry);

  /// A job begins: from now on a change of the network counts for it.
  void job_began(const std::string& identity);
  /// It has ended, and take() has seen what came of it. If the network changed meanwhile, it may have come too late
  /// for the job.
  void job_ended(const std::string& identity);
  /// How an identity is now.
  void take(const identity::Status& status);
  void forget(const std::string& identity);

  /// Whether devidd is to stay for the network's sake: for an hour after an attempt that failed for lack of it. Later
  /// ones are the timer's.
  [[nodiscard]] bool is_waiting() const;

 private:
  using Steady = std::chrono::steady_clock;
  struct Waiting {
    std::optional<Time> failed_at;  ///< the attempt
    Steady::time_point until;       ///< devidd stays so long
    Steady::time_point not_before;  ///< the next attempt for this reason
    unsigned tries = 0;             ///< for this reason, in a row
    bool planned = false;
  };

  void changed();
  void settled();
  void plan(const std::string& identity, Waiting& waiting);
  void due(const std::string& identity);
  void listen();
  void rest();

  EventLoop& loop_;
  const Clock& clock_;
  std::chrono::milliseconds spread_;
  Retry retry_;
  NetworkWatch watch_;
  bool complained_ = false;
  bool settling_ = false;
  std::uint64_t changes_ = 0;
  std::map<std::string, std::uint64_t> jobs_;  ///< that run, with `changes_` when they began
  std::map<std::string, Waiting> waiting_;
  std::minstd_rand random_{std::random_device()()};
};

}  // namespace devid
