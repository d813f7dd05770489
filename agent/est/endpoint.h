#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace devid::est {

/// Where an EST server is (RFC 7030 3.2.2), normalised.
struct Endpoint {
  std::string base;  ///< "https://host:port/.well-known/est" or "…/est/LABEL", without a trailing slash
  std::string host;  ///< as certificates name it: without brackets and port

  /// Parses "https://host[:port][/.well-known/est][/LABEL]". Errors: config_invalid, for another scheme, user info, a
  /// query or fragment, a path that is not EST's, more than one label segment, or a label that is an operation's name.
  static Result<Endpoint> parse(std::string_view url);
  bool operator==(const Endpoint&) const = default;
};

}  // namespace devid::est
