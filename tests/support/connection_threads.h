#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <list>
#include <mutex>
#include <set>
#include <string>
#include <thread>

namespace devid::test {

/// What servers for tests stand on: a port, and a thread for each connection to it. The last member of its
/// owner: it serves from the moment it is there, and has ended its threads when it is gone. Throws what Asio throws if
/// it cannot listen.
class ConnectionThreads {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  /// Called on the thread of a connection, which ends when it returns.
  using Serve = std::function<void(Socket&)>;

  /// At a port of an address of this host, "127.0.0.1"; 0: any that is free.
  ConnectionThreads(const std::string& address, std::uint16_t port, Serve serve);
  ConnectionThreads(const ConnectionThreads&) = delete;
  ConnectionThreads& operator=(const ConnectionThreads&) = delete;
  ConnectionThreads(ConnectionThreads&&) = delete;
  ConnectionThreads& operator=(ConnectionThreads&&) = delete;
  /// Cuts every connection and waits for its threads.
  ~ConnectionThreads();

  [[nodiscard]] std::uint16_t port() const { return acceptor_.local_endpoint().port(); }
  /// For a thread of a connection: waits, but not beyond the end of all.
  void pause(std::chrono::milliseconds time);
  void pause_until_stopped();

 private:
  struct Worker {
    std::thread thread;
    std::atomic<bool> done = false;
  };
  void accept();
  void reap(bool all);
  void serve(Socket socket);

  Serve serve_;
  boost::asio::io_context io_;
  boost::asio::ip::tcp::acceptor acceptor_;

  std::mutex mutex_;  ///< for the next three
  std::condition_variable changed_;
  bool stopping_ = false;
  std::set<int> sockets_;

  std::list<Worker> workers_;  ///< the accepting thread's alone
  std::thread accepting_;
};

}  // namespace devid::test
