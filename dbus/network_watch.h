#pragma once

#include <cstddef>
#include <functional>
#include <set>
#include <span>

#include "base/result.h"
#include "dbus/event_loop.h"

namespace devid {

/// What of the kernel's messages says that something may be reachable that was not before: a link that has a carrier
/// now, an address, a route. Remembers the links that have one. rtnetlink(7).
class NetworkMessages {
 public:
  /// One datagram as it was read from a NETLINK_ROUTE socket. What does not fit its own lengths is passed over.
  bool bring_network(std::span<const std::byte> datagram);

 private:
  bool link_came_up(int index, unsigned flags);

  std::set<int> links_up_;
};

/// Listens to the kernel for changes of the network, from start() to stop(). It asks for nothing and changes nothing.
class NetworkWatch {
 public:
  /// `changed` runs on the loop's thread, for each burst of messages that may bring a network.
  NetworkWatch(EventLoop& loop, std::function<void()> changed);
  NetworkWatch(const NetworkWatch&) = delete;
  NetworkWatch& operator=(const NetworkWatch&) = delete;
  NetworkWatch(NetworkWatch&&) = delete;
  NetworkWatch& operator=(NetworkWatch&&) = delete;
  ~NetworkWatch() { stop(); }

  /// Error: internal, where the sandbox or the kernel has no netlink. Nothing happens if it was started before.
  Result<> start();
  void stop();
  [[nodiscard]] bool is_on() const { return fd_ >= 0; }

 private:
  void look();

  EventLoop& loop_;
  std::function<void()> changed_;
  NetworkMessages messages_;
  int fd_ = -1;
};

}  // namespace devid
