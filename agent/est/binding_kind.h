#pragma once

namespace devid::est {

/// How a request is tied to the TLS connection that carries it (RFC 7030 3.5).
enum class BindingKind {
  tls_unique,    ///< RFC 5929: what RFC 7030 asks for; only up to TLS 1.2
  tls_exporter,  ///< RFC 9266: TLS 1.3, and 1.2
};

}  // namespace devid::est
