#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/est/connection.h"
#include "agent/est/csr_source.h"
#include "agent/est/endpoint.h"
#include "agent/est/server_keygen_answer.h"
#include "agent/pki/certificate.h"
#include "agent/pki/cmc.h"
#include "base/clock.h"

namespace devid::est {

/// What a session needs before it connects.
struct SessionSpec {
  Endpoint endpoint;
  std::vector<pki::Certificate> anchors;  ///< explicit trust anchors for the server (RFC 7030 3.6.1)
  bool system_anchors = false;  ///< implicit ones too (RFC 7030 3.6.2): those of the system, if the profile says so
  std::optional<ClientCredential> client;  ///< none: no client certificate
  HttpAuthentication authentication;       ///< only over TLS with the server that was verified
  std::optional<Proxy> proxy;
  TlsOptions tls;
  std::optional<BindingKind> binding;  ///< none: off
  ServerCheck check_server;            ///< may be empty
  Limits limits;
  std::function<void(const std::string&)> on_remark;  ///< told of what is passed over in /cacerts; may be empty
  std::function<bool()> cancelled;  ///< asked while the network is waited for, at least once a second; empty: never
  Traffic* meter = nullptr;         ///< borrowed: what goes over the line is added to it, too; may be null
};

/// The CA has issued; the certificates of the answer in the order they came.
struct Issued {
  std::vector<pki::Certificate> certificates;
};
/// The CA needs time: 202 with Retry-After (RFC 7030 4.2.3), or 503 with Retry-After.
/// `retry_after` counts from now, is at least 1 s and at most 30 days; without a usable header it is 0 s: "you decide".
struct Pending {
  Seconds retry_after{0};
  std::string text;      ///< what the server said, if it said something; untrusted
  bool accepted = true;  ///< by 202: the CA has the request. After 503 nobody may have it
};
using Enrollment = std::variant<Issued, Pending>;
using KeyGeneration = std::variant<GeneratedKey, Pending>;

/// One EST client session: one TLS connection, opened by the first operation, over which all others go.
/// https only, TLS 1.2 or newer, the server's name and chain verified against the anchors, no redirect but within the
/// origin, every answer bounded in time and size. libcurl underneath, which has its own copy of a password or token
/// for as long as it lives: a session should live no longer than a job.
/// Errors of every operation: network_unreachable, network_timeout, proxy_failed, tls_untrusted, tls_failed,
/// server_unavailable, server_refused, server_unauthorized (the server's own text as reason), server_protocol,
/// answer_too_large, answer_malformed, cancelled, the token's errors where the token failed during the handshake,
/// check_server's, and those of the source of a request. config_invalid where a binding and the version of TLS do not
/// fit.
class Session {
 public:
  /// Error: config_invalid, for what cannot be used of the specification.
  static Result<std::unique_ptr<Session>> create(SessionSpec spec);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  Session(Session&&) = delete;
  Session& operator=(Session&&) = delete;
  ~Session();

  /// GET /cacerts (RFC 7030 4.1). The certificates are not verified against anything yet. One that cannot be read
  /// does not spoil the others.
  Result<std::vector<pki::Certificate>> ca_certificates();

  /// GET /csrattrs (RFC 7030 4.5, RFC 8951 4). The decoded DER of CsrAttrs; empty if the server has none (204, 404,
  /// 501).
  Result<Bytes> csr_attributes();

  /// POST /simpleenroll (RFC 7030 4.2.1) with a PKCS#10 request, or one that is there already, DER.
  Result<Enrollment> simple_enroll(const CsrSource& source);
  Result<Enrollment> simple_enroll(BytesView csr) { return simple_enroll(ready_made(csr)); }

  /// POST /simplereenroll (RFC 7030 4.2.2), likewise.
  Result<Enrollment> simple_reenroll(const CsrSource& source);
  Result<Enrollment> simple_reenroll(BytesView csr) { return simple_reenroll(ready_made(csr)); }

  /// POST /serverkeygen (RFC 7030 4.4) with a PKCS#10 request: the server makes the key. The answer may be longer than
  /// its Content-Length says; it ends with the last boundary, and so does the connection: an operation after this one
  /// opens another.
  Result<KeyGeneration> server_keygen(const CsrSource& source);

  /// POST /fullcmc (RFC 7030 4.3) with a Full PKI Request. The response must be of somebody whom `anchors` trust:
  /// errors also those of pki::read_cmc_response().
  Result<Enrollment> full_cmc(const pki::CmcRequest& request, const std::vector<pki::Certificate>& anchors, Time now);

  /// Puts the deadline off: time that this device took for something else is not charged to the network.
  void put_off_deadline(std::chrono::steady_clock::duration by);

  /// From now on requests are made with this channel binding. Where tls-unique is wanted and the live connection is of
  /// TLS 1.3, which has none, the next operation opens one of TLS 1.2.
  void bind(BindingKind kind);

  /// The version of TLS of the last connection, if there was one.
  [[nodiscard]] std::optional<TlsOptions::Version> tls_version() const;
  [[nodiscard]] const Traffic& traffic() const;
  /// How many TCP connections were opened so far: 1 unless the server closed one between operations.
  [[nodiscard]] unsigned connections() const { return traffic().connections; }

 private:
  struct State;
  explicit Session(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid::est
