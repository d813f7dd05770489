#pragma once

#include <cstdint>
#include <optional>

namespace devid::test {

/// A socket that closes itself.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  Socket(Socket&& other) noexcept;
  Socket& operator=(Socket&& other) noexcept;
  ~Socket();

  [[nodiscard]] int fd() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// Two listening sockets on loopback at a port and the next one, as tcti-swtpm wants them.
struct PortPair {
  std::uint16_t port = 0;
  Socket first;
  Socket second;
};

/// Finds a free pair and listens on it. Throws std::runtime_error after many tries.
PortPair listen_on_port_pair();

/// A connection to a loopback port; nothing if nobody listens there.
std::optional<Socket> connect_to(std::uint16_t port);

}  // namespace devid::test
