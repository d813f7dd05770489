#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace devid {

/// What went wrong, as a stable code. The name of a code is public: it is the last component of the D-Bus error
/// `org.devid1.Error.NAME`, the first string of the property LastError, and the journal field DEVID_ERROR.
/// Names are never changed or given another meaning; new ones may be added.
enum class Errc {
  // The caller or the operator.
  usage,  ///< an argument is wrong
  no_such_identity,
  wrong_state,  ///< not now: renewing what is not enrolled, enrolling what is
  not_authorized,
  config_missing,  ///< a configured file does not exist or cannot be read
  config_syntax,   ///< not TOML
  config_invalid,  ///< TOML, but an unknown key, a wrong type, a value out of range, or a contradiction
  // The token.
  token_unreachable,  ///< no device, nothing listens, or it vanished in mid-call
  token_not_ready,    ///< there, but cannot serve yet (TPM2_Startup is missing, testing, out of slots)
  token_locked_out,   ///< refuses authorizations for a while
  token_auth_failed,  ///< the authorization value or PIN is wrong
  token_no_such_key,
  token_wrong_key,  ///< a key is there, but it is of the wrong kind or belongs to another token
  token_unsupported,
  token_module,     ///< the PKCS#11 module is not one, cannot be loaded, or crashes
  token_ambiguous,  ///< more than one token, or object, is meant
  token_read_only,  ///< nothing can be written to the token
  token_full,
  token_failed,  ///< any other failure of the token
  idevid_missing,
  idevid_expired,
  idevid_mismatch,  ///< the IDevID certificate is not for the IDevID key
  // The network and the server.
  network_unreachable,  ///< cannot resolve, connect, or the connection broke
  network_timeout,
  tls_untrusted,  ///< the server's certificate does not chain to the trust anchors, is expired, or names another host
  tls_failed,     ///< any other failure of TLS
  proxy_failed,   ///< the proxy on the way cannot be reached, refuses, or wants another authentication
  trust_missing,  ///< there is nothing yet to trust the server by: an operator has to accept its CA
  server_unavailable,   ///< 503 and other 5xx
  server_refused,       ///< 4xx: the request is refused as it is
  server_unauthorized,  ///< 401 or 403
  server_protocol,      ///< not EST: wrong media type, bad base64, redirect to another origin, unexpected status
  answer_too_large,
  answer_malformed,  ///< the body is not what its media type says
  demand_unmet,      ///< the server asks for something in a request that the profile forbids or the device lacks
  // What the CA returned.
  certificate_wrong_key,
  certificate_untrusted,
  certificate_not_valid_now,
  certificate_is_ca,
  certificate_wrong_usage,
  certificate_wrong_name,
  certificate_unchanged,  ///< the CA has returned the certificate that was to be replaced
  certificate_refused,    ///< the server does not accept the new certificate as authentication
  certificate_revoked,    ///< the CA has taken it back: that of the server, ours, or of a CA above
  revocation_unknown,     ///< whether it has cannot be found out, and the profile insists
  // This host.
  storage_failed,  ///< a file cannot be read or written, or the disk is full
  state_corrupt,   ///< a file of ours is not what we wrote
  cancelled,
  internal,  ///< a bug: please report it
};

/// The stable public name of a code, in CamelCase ("TokenLockedOut").
std::string_view code_name(Errc code);

/// Every code there is, in order of declaration.
const std::vector<Errc>& all_error_codes();

/// When trying again can help.
enum class Retry {
  never,           ///< the same request fails again; only a change of the request helps
  later,           ///< a transient condition; try again after a back-off
  after_operator,  ///< somebody has to change something first; devid still looks again, rarely
};

std::string_view retry_name(Retry retry);

/// A failure: a code for programs, a sentence and a hint for people.
/// `what` says what could not be done, without a final stop: "cannot load the key of identity 'gateway'".
/// `reason` is the library's or server's own text, may be empty. It is untrusted text: escape before printing.
/// `hint` says what to do about it, may be empty.
struct Error {
  Errc code = Errc::internal;
  Retry retry = Retry::never;
  std::string what;
  std::string reason;
  std::string hint;
  std::optional<std::chrono::seconds> retry_after;  ///< the server's or token's own advice, counted from now

  /// "what (reason)", in one line, with control characters escaped.
  [[nodiscard]] std::string sentence() const;
};

/// Puts what was being done before an error: "cannot DOING: what". The code, the reason and the advice stay.
Error while_doing(std::string_view doing, Error error);

/// Makes text of foreign origin safe to print in one line: control characters, escape sequences, bidirectional
/// overrides and invalid UTF-8 become `\xNN`; at most `limit` bytes are kept, then "…".
std::string printable(std::string_view text, std::size_t limit = 500);

}  // namespace devid
