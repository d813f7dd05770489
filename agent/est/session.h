#pragma once

#include <functional>
#include <memory>
#include <variant>
#include <vector>

#include "agent/est/endpoint.h"
#include "agent/pki/certificate.h"
#include "base/clock.h"
#include "tokens/openssl/signing_key.h"

namespace devid::est {

/// Whom the client is: a certificate, its intermediates, and the key in the token.
struct ClientCredential {
  pki::Certificate certificate;
  std::vector<pki::Certificate> chain;
  SigningKey* key;  ///< borrowed, outlives the session
};

struct Limits {
  Seconds connect_timeout{15};
  Seconds request_timeout{60};  ///< for one operation, from request to the last byte of the answer
  std::size_t answer_bytes = 1U << 20U;
};

/// What a session needs before it connects.
struct SessionSpec {
  Endpoint endpoint;
  std::vector<pki::Certificate>
      anchors;  ///< explicit trust anchors for the server (RFC 7030 3.6.1); never the system's
  ClientCredential client;
  Limits limits;
  std::function<bool()> cancelled;  ///< asked while the network is waited for, at least once a second; empty: never
};

/// The CA has issued; the certificates of the answer in the order they came.
struct Issued {
  std::vector<pki::Certificate> certificates;
};
/// The CA needs time: 202 with Retry-After (RFC 7030 4.2.3), or 503 with Retry-After.
/// `retry_after` counts from now, is at least 1 s and at most 30 days; without a usable header it is 0 s: "you decide".
struct Pending {
  Seconds retry_after{0};
  std::string text;  ///< what the server said, if it said something; untrusted
};
using Enrollment = std::variant<Issued, Pending>;

/// One EST client session: one TLS connection, opened by the first operation, over which all others go.
/// https only, TLS 1.2 or newer, the server's name and chain verified against the explicit anchors, no redirect but
/// within the origin, every answer bounded in time and size. libcurl underneath.
/// Errors of every operation: network_unreachable, network_timeout, tls_untrusted, tls_failed, server_unavailable,
/// server_refused, server_unauthorized (the server's own text as reason), server_protocol, answer_too_large,
/// answer_malformed, cancelled, and the token's errors where the token failed during the handshake.
class Session {
 public:
  static Result<std::unique_ptr<Session>> create(SessionSpec spec);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;
  ~Session();

  /// GET /cacerts (RFC 7030 4.1). The certificates are not verified against anything yet.
  Result<std::vector<pki::Certificate>> ca_certificates();

  /// GET /csrattrs (RFC 7030 4.5, RFC 8951 4). The decoded DER of CsrAttrs; empty if the server has none (204, 404,
  /// 501).
  Result<Bytes> csr_attributes();

  /// POST /simpleenroll (RFC 7030 4.2.1) with a DER PKCS#10 request.
  Result<Enrollment> simple_enroll(BytesView csr);

  /// POST /simplereenroll (RFC 7030 4.2.2) with a DER PKCS#10 request.
  Result<Enrollment> simple_reenroll(BytesView csr);

  /// How many TCP connections were opened so far: 1 unless the server closed one between operations.
  [[nodiscard]] unsigned connections() const;

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid::est
