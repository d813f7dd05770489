#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>

#include "agent/agent.h"

namespace devid {

/// The one thread that owns the agent and touches tokens and network. It does one task after the other.
class Worker {
 public:
  using Task = std::function<void(Agent&)>;

  explicit Worker(std::unique_ptr<Agent> agent);
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;
  Worker(Worker&&) = delete;
  Worker& operator=(Worker&&) = delete;
  ~Worker() { stop(); }

  void submit(Task task);

  /// Drops what has not begun, waits for the task that runs, and takes the agent down on its own thread.
  void stop();

 private:
  void work(const std::stop_token& stop);

  std::unique_ptr<Agent> agent_;
  std::mutex mutex_;  ///< guards tasks_
  std::condition_variable_any ready_;
  std::deque<Task> tasks_;
  std::jthread thread_;  // last: it begins with all the others in place
};

}  // namespace devid
