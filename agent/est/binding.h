#pragma once

#include <openssl/ssl.h>

#include <string>

#include "agent/est/binding_kind.h"
#include "base/result.h"

namespace devid::est {

/// The channel binding of a connection whose handshake is complete, in base64 without line ends: what goes into the
/// challengePassword of a request (RFC 7030 3.5). Errors: config_invalid for tls-unique in TLS 1.3, which has none;
/// tls_failed where, without the extended master secret (RFC 7627), somebody between could make two connections have
/// the same one: an exporter in TLS 1.2 (RFC 7627 5.2), and tls-unique in a resumed session (5.3).
Result<std::string> channel_binding(SSL* ssl, BindingKind kind);

}  // namespace devid::est
