#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/secret.h"

namespace devid::est {

/// A user and a password for HTTP Basic or Digest (RFC 7617, RFC 7616). Basic is sent with every request; the others
/// wait for the server's challenge, and `any` takes the strongest that it offers.
struct PasswordLogin {
  enum class Scheme { any, basic, digest };
  std::string user;
  Secret password;
  Scheme scheme = Scheme::any;
};

/// A token that somebody issued to this device (RFC 6750), sent with every request.
struct BearerToken {
  Secret token;
};

/// What this device says of itself to a server that TLS has authenticated, beside or in place of a certificate.
using HttpAuthentication = std::variant<std::monostate, PasswordLogin, BearerToken>;

/// Whether it can be sent. Error: config_invalid, for a user that is empty or has a colon, and control characters
/// (a line end would start another header).
Result<> check(const HttpAuthentication& authentication);

/// Whether a user, or a secret, is free of control characters.
bool is_sendable(std::string_view text);

}  // namespace devid::est
