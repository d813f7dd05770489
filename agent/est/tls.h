#pragma once

#include <openssl/ssl.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "agent/est/binding_kind.h"
#include "agent/est/client_credential.h"
#include "agent/est/tls_options.h"
#include "base/bytes.h"

namespace devid::est {

/// Asked in each full handshake, after the server's chain was verified and before this device shows who it is: leaf
/// first, anchor last. `stapled` is the OCSP response (RFC 6066 8), DER, empty if the server sent none.
using ServerCheck = std::function<Result<>(const std::vector<pki::Certificate>& chain, BytesView stapled)>;

/// Whom TLS trusts, and who the client is.
struct TlsSpec {
  /// `nobody` is for the first contact alone: whatever comes then is believed by nobody.
  enum class Trust { anchors, anchors_and_system, nobody };
  std::string host;  ///< what the server's certificate has to name: a DNS name or an IP address
  std::vector<pki::Certificate> anchors;
  Trust trust = Trust::anchors;
  std::optional<ClientCredential> client;
  TlsOptions options;
  ServerCheck check_server;
};

/// The client's side of TLS: whom it trusts, who it is, and what the handshakes came to. Must stay where it is while a
/// connection that it configured lives.
class Tls {
 public:
  explicit Tls(TlsSpec spec);
  Tls(const Tls&) = delete;
  Tls& operator=(const Tls&) = delete;
  Tls(Tls&&) = delete;
  Tls& operator=(Tls&&) = delete;
  ~Tls() = default;

  /// Puts all of it into the context of one new connection: the anchors as the only ones, each trusted whether
  /// self-signed or not (RFC 7030 3.6.1); the name checked within the handshake, before this device shows its own
  /// certificate; the client certificate, its chain and its key. Error: tls_failed, config_invalid.
  Result<> configure(SSL_CTX* context);

  /// From now on the contexts are for this kind of binding: tls-unique is only up to TLS 1.2.
  void bind(BindingKind kind) { binding_ = kind; }
  /// Whether the last connection can give the binding that is wanted. Without one it can.
  [[nodiscard]] bool suits_binding() const;
  /// Forgets what earlier exchanges left behind, the key's last error too.
  void begin_exchange();
  /// Why this side has ended, or could not begin, a handshake of this exchange: the token's own error, if a signature
  /// failed (OpenSSL loses it on the way), then configure()'s, then check_server's.
  std::optional<Error> take_error();
  /// The fatal alert that the server sent in this exchange.
  [[nodiscard]] std::optional<int> alert() const { return alert_; }
  /// Why the server's certificate was refused in this exchange: X509_V_OK or X509_V_ERR_….
  [[nodiscard]] int verify_error() const { return verify_error_; }
  /// Whether the key has signed in any handshake. TLS 1.3 goes on without a client certificate if none fits.
  [[nodiscard]] bool authenticated() const;
  [[nodiscard]] bool has_client() const { return spec_.client.has_value(); }
  /// How many contexts were configured: connections that came as far as TLS with the server.
  [[nodiscard]] unsigned configured() const { return configured_; }
  /// How many handshakes were completed.
  [[nodiscard]] unsigned handshakes() const { return handshakes_; }
  /// Of the last connection whose handshake was completed.
  [[nodiscard]] std::optional<TlsOptions::Version> version() const { return version_; }
  [[nodiscard]] const TlsOptions& options() const { return spec_.options; }
  [[nodiscard]] bool verifies() const { return spec_.trust != TlsSpec::Trust::nobody; }

 private:
  Result<> set_up(SSL_CTX* context);
  Result<> limit(SSL_CTX* context) const;
  Result<> trust(SSL_CTX* context) const;
  Result<> ask_for_staple(SSL_CTX* context);
  Result<> identify(SSL_CTX* context) const;
  static int on_verified(int ok, X509_STORE_CTX* context);
  static void observe(const SSL* ssl, int where, int value);
  static int on_server_verified(SSL* ssl, void* self);

  TlsSpec spec_;
  std::optional<BindingKind> binding_;
  unsigned signatures_before_;
  unsigned configured_ = 0;
  unsigned handshakes_ = 0;
  std::optional<int> alert_;
  int verify_error_ = X509_V_OK;
  std::optional<Error> error_;
  std::optional<TlsOptions::Version> version_;
};

}  // namespace devid::est
