#include "agent/identity/access.h"

#include <utility>

#include "agent/identity/anchors.h"
#include "base/secret_source.h"

namespace devid::identity {

Result<est::HttpAuthentication> http_authentication(const Authentication& authentication) {
  if (authentication.bearer) {
    auto token = read_secret(*authentication.bearer);
    if (!token) return fail(while_doing("authenticate to the server", std::move(token.error())));
    return est::HttpAuthentication(est::BearerToken{.token = std::move(*token)});
  }
  if (!authentication.login) return est::HttpAuthentication();
  auto password = read_secret(authentication.login->password);
  if (!password) return fail(while_doing("authenticate to the server", std::move(password.error())));
  return est::HttpAuthentication(est::PasswordLogin{
      .user = authentication.login->user, .password = std::move(*password), .scheme = authentication.scheme});
}

Result<std::optional<est::Proxy>> proxy_of(const Server& server) {
  if (!server.proxy) return std::optional<est::Proxy>();
  est::Proxy proxy{.url = server.proxy->url, .exceptions = server.proxy->exceptions};
  if (const auto& login = server.proxy->login) {
    auto password = read_secret(login->password);
    if (!password) return fail(while_doing("authenticate to the proxy", std::move(password.error())));
    proxy.login = est::ProxyLogin{.user = login->user, .password = std::move(*password)};
  }
  if (!server.proxy->trust_anchors.empty()) {
    auto anchors = read_anchors(server.proxy->trust_anchors);
    if (!anchors) return fail(std::move(anchors.error()));
    proxy.anchors = std::move(*anchors);
  }
  return std::optional(std::move(proxy));
}

}  // namespace devid::identity
