#include "dbus/worker.h"

#include <malloc.h>

#include <utility>

namespace devid {

Worker::Worker(std::unique_ptr<Agent> agent)
    : agent_(std::move(agent)), thread_([this](const std::stop_token& stop) { work(stop); }) {}

Worker::~Worker() {
  thread_.request_stop();
  thread_.join();
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
    ::malloc_trim(0);  // a daemon at rest holds on to nothing that an enrollment needed
  }
  agent_.reset();
}

}  // namespace devid
