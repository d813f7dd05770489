#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/result.h"
#include "base/secret.h"

namespace devid::est {

/// Who this device is to a proxy. Nobody else is told.
struct ProxyLogin {
  std::string user;
  Secret password;
};

/// A proxy on the way to every server but the exceptions. The proxies of the environment never count.
struct Proxy {
  /// "http://HOST:PORT" and "https://HOST:PORT" (CONNECT), "socks5://HOST:PORT" (RFC 1928; it resolves the names).
  std::string url;
  std::optional<ProxyLogin> login;
  /// Hosts that are reached without it, as curl's no_proxy has them: "example.com" and ".example.com" (the domain and
  /// all below), "192.0.2.7", "10.0.0.0/8", "fd00::/8", "*" (all).
  std::vector<std::string> exceptions;
  std::vector<pki::Certificate> anchors;  ///< of an https proxy; none: the system's
};

/// Whether devid can use it. Error: config_invalid, for another scheme, no port, a path, or a login within the URL.
Result<> check(const Proxy& proxy);

/// Whether an exception can ever fit a host: an address, a network, a domain, "*". Error: config_invalid.
Result<> check_exception(std::string_view exception);

/// Whether a host, without brackets, is among the exceptions.
bool is_excepted(const Proxy& proxy, std::string_view host);

}  // namespace devid::est
