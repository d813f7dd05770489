#pragma once

#include <functional>
#include <optional>
#include <vector>

#include "agent/est/endpoint.h"
#include "agent/est/limits.h"
#include "agent/est/proxy.h"
#include "agent/est/tls_options.h"
#include "agent/est/traffic.h"
#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::est {

/// A server that nobody has vouched for yet (RFC 7030 4.1.1).
struct FirstContact {
  Endpoint endpoint;
  std::optional<Proxy> proxy;
  TlsOptions tls;
  Limits limits;
  std::function<bool()> cancelled;
  Traffic* meter = nullptr;  ///< as SessionSpec::meter
};

/// GET /cacerts from it. The server is not authenticated, and this device shows nothing of itself: no client
/// certificate, no user, no token. What comes is believed by nobody: it is shown to an operator, who compares it with
/// what the operator of the server says. Errors: those of a Session's operations.
Result<std::vector<pki::Certificate>> fetch_unverified(FirstContact contact);

}  // namespace devid::est
