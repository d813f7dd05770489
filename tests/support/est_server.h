#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/est_misbehaviour.h"
#include "tests/support/est_service.h"

namespace devid::test {

/// An EST server (RFC 7030) on 127.0.0.1 for tests and the demo. A thread per connection. It takes nothing but the safe
/// request (application/pkcs10 in wrapped base64 with a Content-Length and a Content-Transfer-Encoding): what one of
/// the known servers refuses, it refuses. It can be told to misbehave. Throws std::runtime_error if it cannot start.
class EstServer {
 public:
  explicit EstServer(EstServerSpec spec);
  EstServer(const EstServer&) = delete;
  EstServer& operator=(const EstServer&) = delete;
  EstServer(EstServer&&) = delete;
  EstServer& operator=(EstServer&&) = delete;
  /// Cuts every connection and waits for its threads.
  ~EstServer();

  [[nodiscard]] std::uint16_t port() const;
  /// "https://HOST:PORT".
  [[nodiscard]] std::string url(const std::string& host = "127.0.0.1") const;

  static constexpr unsigned always = ~0U;
  /// Answers the next `times` requests of an operation this way. Several of them queue up.
  void misbehave(EstOperation operation, Misbehaviour misbehaviour, unsigned times = always);
  /// Sends this many bytes of every TLS handshake, and cuts the connection.
  void cut_handshakes(std::size_t after_bytes);
  /// Sends every TLS handshake a byte at a time, and this between two.
  void drip_handshakes(std::chrono::milliseconds interval);
  /// From now on as it should.
  void behave();

  [[nodiscard]] std::size_t connections() const;  ///< TCP connections accepted
  [[nodiscard]] std::size_t handshakes() const;   ///< TLS handshakes completed
  [[nodiscard]] std::vector<SeenRequest> requests() const;
  [[nodiscard]] std::vector<std::string> issued() const;  ///< PEM, in order, flawed ones too
  /// Forgets what it has recorded.
  void forget();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace devid::test
