#pragma once

#include <openssl/ssl.h>

#include <optional>
#include <string>
#include <vector>

#include "agent/est/session.h"

namespace devid::est {

/// The client's side of TLS: whom it trusts, who it is, and what the handshakes came to. Must stay where it is while a
/// connection that it configured lives.
class Tls {
 public:
  /// `host` is what the server's certificate has to name: a DNS name or an IP address.
  Tls(std::string host, std::vector<pki::Certificate> anchors, ClientCredential client);
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  Tls(Tls&&) = delete;
  Tls& operator=(Tls&&) = delete;
  ~Tls() = default;

  /// Puts all of it into the context of one new connection: the anchors as the only ones, each trusted whether
  /// self-signed or not (RFC 7030 3.6.1); the name checked within the handshake, before this device shows its own
  /// certificate; the client certificate, its chain and its key. Error: tls_failed.
  Result<> configure(SSL_CTX* context);

  /// Forgets what earlier exchanges left behind, the key's last error too.
  void begin_exchange();
  /// The token's own error, if a signature failed in this exchange: OpenSSL loses it on the way.
  std::optional<Error> take_key_error() const;
  /// The fatal alert that the server sent in this exchange.
  [[nodiscard]] std::optional<int> alert() const { return alert_; }
  /// Whether the key has signed in any handshake. TLS 1.3 goes on without a client certificate if none fits.
  [[nodiscard]] bool authenticated() const;

 private:
  Result<> trust(SSL_CTX* context) const;
  Result<> identify(SSL_CTX* context) const;
  static void observe(const SSL* ssl, int where, int value);

  std::string host_;
  std::vector<pki::Certificate> anchors_;
  ClientCredential client_;
  unsigned signatures_before_;
  std::optional<int> alert_;
};

}  // namespace devid::est
