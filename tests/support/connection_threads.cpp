#include "tests/support/connection_threads.h"

#include <sys/socket.h>

#include <utility>

namespace devid::test {

using boost::asio::ip::tcp;

ConnectionThreads::ConnectionThreads(const std::string& address, std::uint16_t port, Serve serve)
    : serve_(std::move(serve)),
      acceptor_(io_, tcp::endpoint(boost::asio::ip::make_address(address), port)),
      accepting_([this] { accept(); }) {}

ConnectionThreads::~ConnectionThreads() {
  {
    const std::scoped_lock lock(mutex_);
    stopping_ = true;
    for (const int socket : sockets_) ::shutdown(socket, SHUT_RDWR);
  }
  changed_.notify_all();
  ::shutdown(acceptor_.native_handle(), SHUT_RDWR);  // makes accept() return
  accepting_.join();
}

void ConnectionThreads::accept() {
  for (;;) {
    boost::system::error_code error;
    Socket socket(io_);
    static_cast<void>(acceptor_.accept(socket, error));
    reap(false);
    const std::scoped_lock lock(mutex_);
    if (stopping_) break;
    if (error) continue;
    sockets_.insert(socket.native_handle());
    auto& worker = workers_.emplace_back();
    worker.thread = std::thread([this, &worker, taken = std::move(socket)]() mutable {
      serve(std::move(taken));
      worker.done = true;
    });
  }
  reap(true);
}

void ConnectionThreads::reap(bool all) {
  for (auto worker = workers_.begin(); worker != workers_.end();) {
    if (!all && !worker->done) {
      ++worker;
      continue;
    }
    worker->thread.join();
    worker = workers_.erase(worker);
  }
}

void ConnectionThreads::serve(Socket socket) {
  serve_(socket);
  const std::scoped_lock lock(mutex_);
  sockets_.erase(socket.native_handle());  // before it is closed, and its number is another's
}

void ConnectionThreads::pause(std::chrono::milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [this] { return stopping_; });
}

void ConnectionThreads::pause_until_stopped() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return stopping_; });
}

}  // namespace devid::test
