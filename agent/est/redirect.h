#pragma once

#include "agent/est/http.h"
#include "base/result.h"

namespace devid::est {

/// Whether the answer asks to go elsewhere (RFC 9110 15.4).
bool is_redirect(const Answer& answer);

/// The request that a redirect asks for. Only within the origin (scheme, host and port: RFC 7030 3.2.1 wants a person's
/// consent for another), and a POST stays a POST (307 and 308 only). Error: server_protocol, saying where it led to.
Result<Request> follow(const Request& request, const Answer& answer);

}  // namespace devid::est
