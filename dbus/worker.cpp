#include "dbus/worker.h"

#include <utility>

#include "dbus/residence.h"

namespace devid {

Worker::Worker(std::unique_ptr<Agent> agent)
    : agent_(std::move(agent)), thread_([this](const std::stop_token& stop) { work(stop); }) {}

void Worker::stop() {
  thread_.request_stop();
  if (thread_.joinable()) thread_.join();
}

void Worker::submit(Task task) {
  {
    const std::lock_guard lock(mutex_);
    tasks_.push_back(std::move(task));
  }
  ready_.notify_one();
}

void Worker::work(const std::stop_token& stop) {
  while (true) {
    Task task;
    {
      std::unique_lock lock(mutex_);
      if (!ready_.wait(lock, stop, [this] { return !tasks_.empty(); }) || stop.stop_requested()) break;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task(*agent_);
    task = nullptr;
    release_unused_pages();
  }
  agent_.reset();
}

}  // namespace devid
