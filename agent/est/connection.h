#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "agent/est/authentication.h"
#include "agent/est/http.h"
#include "agent/est/limits.h"
#include "agent/est/proxy.h"
#include "agent/est/tls.h"
#include "agent/est/traffic.h"
#include "base/result.h"

namespace devid::est {

struct ConnectionSpec {
  TlsSpec tls;
  HttpAuthentication authentication;
  std::optional<Proxy> proxy;
  std::optional<BindingKind> binding;
  Limits limits;
  std::function<bool()> cancelled;  ///< may be empty
  Traffic* meter = nullptr;         ///< what goes over the line is added to it, too; may be null
};

/// The line to one server: requests go out and answers come in, one after the other, over one TCP connection for as
/// long as the server keeps it open. It follows redirects within the origin alone, uses no proxy of the environment,
/// no .netrc and no cookies, and speaks nothing but https, TLS 1.2 or newer. libcurl underneath, which has a copy of
/// the password for as long as this lives.
class Connection {
 public:
  /// Error: internal, if libcurl cannot start.
  static Result<std::unique_ptr<Connection>> prepare(ConnectionSpec spec);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  Connection(Connection&&) = delete;
  Connection& operator=(Connection&&) = delete;
  ~Connection();

  /// Sends a request and reads the whole answer, that after at most three redirects; all within one time limit. An
  /// answer other than 200 that is too large is cut, not an error: its status says enough. Errors: those of
  /// curl_error(), proxy_failed, answer_too_large, cancelled, the token's own, and those of the content's source.
  Result<Answer> ask(Request request);

  /// Puts the deadline of all operations off, if there is one.
  void put_off_deadline(std::chrono::steady_clock::duration by);

  /// From now on requests are made with this binding. A live connection of TLS 1.3 is given up for tls-unique.
  void bind(BindingKind kind);
  [[nodiscard]] std::optional<BindingKind> binding() const;

  [[nodiscard]] const Traffic& traffic() const;
  /// What the last handshakes came to.
  [[nodiscard]] const Tls& tls() const;

 private:
  struct State;
  explicit Connection(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid::est
