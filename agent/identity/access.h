#pragma once

#include <optional>

#include "agent/est/authentication.h"
#include "agent/est/proxy.h"
#include "agent/identity/server.h"
#include "base/result.h"

namespace devid::identity {

/// Who the device is to the server besides its certificate; reads the secret. Errors: those of read_secret().
Result<est::HttpAuthentication> http_authentication(const Authentication& authentication);

/// The proxy on the way to the server, if there is one; reads its secret and its anchors. Errors: those of
/// read_secret() and read_anchors().
Result<std::optional<est::Proxy>> proxy_of(const Server& server);

}  // namespace devid::identity
