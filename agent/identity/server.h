#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/est/endpoint.h"
#include "agent/est/session.h"
#include "agent/pki/revocation.h"
#include "base/clock.h"
#include "base/secret_source.h"

namespace devid::identity {

/// By whom the server is known: certificates in a file, or in the files of a directory; PEM, read anew by every job.
struct AnchorFiles {
  std::filesystem::path path;
  bool operator==(const AnchorFiles&) const = default;
};
/// The system's own trust anchors: the implicit ones of RFC 7030 3.6.2.
struct SystemAnchors {
  bool operator==(const SystemAnchors&) const = default;
};
/// Nobody yet: at first contact its CA is shown, and an operator accepts it (RFC 7030 4.1.1).
struct FirstContact {
  std::string fingerprint;  ///< SHA-256 of the CA's certificate, lower-case hexadecimal: accepted beforehand; or empty
  bool operator==(const FirstContact&) const = default;
};
using ServerTrust = std::variant<FirstContact, AnchorFiles, SystemAnchors>;

/// A user's name, and where the password is.
struct Login {
  std::string user;
  SecretSource password;
  bool operator==(const Login&) const = default;
};

/// Who the device is towards the server. Its certificate, which is the LDevID in a renewal, is shown in any case but an
/// enrollment without `with_idevid`.
struct Authentication {
  bool with_idevid = true;
  std::optional<Login> login;
  est::PasswordLogin::Scheme scheme = est::PasswordLogin::Scheme::any;
  std::optional<SecretSource> bearer;  ///< instead of a login
  bool operator==(const Authentication&) const = default;
};

/// The proxy on the way to the server.
struct ProxySettings {
  std::string url;
  std::optional<Login> login;
  std::vector<std::string> exceptions;
  std::filesystem::path trust_anchors;  ///< PEM, of an https proxy
  bool operator==(const ProxySettings&) const = default;
};

/// How a request is tied to its connection (RFC 7030 3.5). automatic: by tls-unique, where the server asks for it.
enum class ChannelBinding { automatic, tls_unique, tls_exporter, off };

/// By which operation a certificate is renewed.
enum class RenewalOperation { simple, full_cmc };

/// The EST servers, which are as one: tried in order. How they are reached, and how long it may take.
struct Server {
  std::vector<est::Endpoint> endpoints;  ///< at least one
  ServerTrust trust;
  Authentication authentication;
  std::optional<ProxySettings> proxy;
  est::TlsOptions tls;
  pki::RevocationPolicy revocation = pki::RevocationPolicy::soft;
  ChannelBinding channel_binding = ChannelBinding::automatic;
  RenewalOperation renewal_operation = RenewalOperation::simple;
  Seconds cacerts_interval{std::chrono::days(1)};
  Seconds connect_timeout{15};
  Seconds timeout{60};                        ///< of one operation
  Seconds deadline{std::chrono::minutes(5)};  ///< of a job's business with all of them
  bool operator==(const Server&) const = default;
};

}  // namespace devid::identity
