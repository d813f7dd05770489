#pragma once

#include <cstdint>

namespace devid::est {

/// What went over the line so far.
struct Traffic {
  unsigned connections = 0;    ///< TCP connections opened
  unsigned handshakes = 0;     ///< of TLS with an EST server, completed
  unsigned requests = 0;       ///< redirects followed count, what libcurl repeats does not
  std::uint64_t sent = 0;      ///< octets of HTTP: what TLS adds is not among them
  std::uint64_t received = 0;  ///< likewise

  Traffic& operator+=(const Traffic& more) {
    connections += more.connections;
    handshakes += more.handshakes;
    requests += more.requests;
    sent += more.sent;
    received += more.received;
    return *this;
  }
  bool operator==(const Traffic&) const = default;
};

}  // namespace devid::est
