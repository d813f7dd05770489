#include "agent/est/authentication.h"

#include <algorithm>

namespace devid::est {
namespace {

Result<> refuse(std::string what, std::string hint) {
  return fail(
      {.code = Errc::config_invalid, .retry = Retry::after_operator, .what = std::move(what), .hint = std::move(hint)});
}

Result<> check_login(const PasswordLogin& login) {
  if (login.user.empty() || !is_sendable(login.user) || login.user.find(':') != std::string::npos)
    return refuse("the user '" + printable(login.user, 100) + "' cannot be sent in HTTP",
                  "a user is not empty, and has neither colons nor control characters");
  if (!is_sendable(as_text(login.password.reveal())))
    return refuse("the password of user '" + printable(login.user, 100) + "' cannot be sent in HTTP",
                  "it has control characters: is there a line end in its file?");
  return {};
}

/// RFC 6750 2.1: b64token.
bool is_token(std::string_view text) {
  constexpr std::string_view others = "-._~+/=";
  return !text.empty() && std::ranges::all_of(text, [others](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           others.find(c) != std::string_view::npos;
  });
}

}  // namespace

bool is_sendable(std::string_view text) {
  return std::ranges::none_of(text, [](char c) {
    const auto octet = static_cast<unsigned char>(c);
    return octet < 0x20 || octet == 0x7f;
  });
}

Result<> check(const HttpAuthentication& authentication) {
  if (const auto* login = std::get_if<PasswordLogin>(&authentication)) return check_login(*login);
  const auto* bearer = std::get_if<BearerToken>(&authentication);
  if (bearer == nullptr || is_token(as_text(bearer->token.reveal()))) return {};
  return refuse("the bearer token cannot be sent in HTTP",
                "it is empty, or has characters that no token has: is there a line end in its file?");
}

}  // namespace devid::est
