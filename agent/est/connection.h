#pragma once

#include <chrono>
#include <functional>
#include <memory>

#include "agent/est/http.h"
#include "agent/est/tls.h"
#include "base/result.h"

namespace devid::est {

/// The line to one server: requests go out and answers come in, one after the other, over one TCP connection for as
/// long as the server keeps it open. It follows no redirect, uses no proxy (neither the environment's), no .netrc, no
/// cookies, and speaks nothing but https, TLS 1.2 or newer. libcurl underneath, nowhere else.
class Connection {
 public:
  /// `tls`, `limits` and `cancelled`, which may be empty, are for every exchange. Error: internal, if libcurl cannot
  /// start.
  static Result<std::unique_ptr<Connection>> prepare(std::unique_ptr<Tls> tls, const Limits& limits,
                                                     std::function<bool()> cancelled);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  /// Sends one request and reads the whole answer within `time`. An answer other than 200 that is too large is cut, not
  /// an error: its status says enough. Errors: those of curl_error(), answer_too_large, cancelled, and the token's own.
  Result<Answer> exchange(const Request& request, std::chrono::milliseconds time);

  /// How many TCP connections were opened so far.
  [[nodiscard]] unsigned opened() const;
  /// Whether the client's key has signed in a handshake.
  [[nodiscard]] bool authenticated() const;

 private:
  struct State;
  explicit Connection(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid::est
