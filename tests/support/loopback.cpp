#include "tests/support/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <random>
#include <stdexcept>
#include <utility>

namespace devid::test {
namespace {

sockaddr_in loopback(std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

Socket stream_socket() { return Socket(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)); }

Socket listen_on(std::uint16_t port) {
  Socket listener = stream_socket();
  const int on = 1;
  setsockopt(listener.fd(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  const sockaddr_in address = loopback(port);
  if (bind(listener.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return {};
  if (listen(listener.fd(), SOMAXCONN) != 0) return {};
  return listener;
}

/// Below the ports that the kernel gives to those who connect: thousands of them are taken for a minute after a test
/// that connected for each command of a TPM.
std::uint16_t random_port() {
  constexpr unsigned lowest = 16384;
  constexpr unsigned highest = 32766;
  std::random_device random;
  return static_cast<std::uint16_t>(std::uniform_int_distribution<unsigned>(lowest, highest)(random));
}

}  // namespace

Socket::Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

Socket& Socket::operator=(Socket&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

Socket::~Socket() {
  if (fd_ >= 0) close(fd_);
}

PortPair listen_on_port_pair() {
  constexpr int tries = 100;
  for (int attempt = 0; attempt < tries; ++attempt) {
    const std::uint16_t port = random_port();
    Socket first = listen_on(port);
    Socket second = first ? listen_on(static_cast<std::uint16_t>(port + 1)) : Socket();
    if (second) return {.port = port, .first = std::move(first), .second = std::move(second)};
  }
  throw std::runtime_error("no two free loopback ports in a row");
}

std::optional<Socket> connect_to(std::uint16_t port) {
  Socket socket = stream_socket();
  const sockaddr_in address = loopback(port);
  if (connect(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return std::nullopt;
  const int on = 1;
  setsockopt(socket.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return socket;
}

}  // namespace devid::test
