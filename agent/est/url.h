#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace devid::est {

/// The parts of an absolute https URL (RFC 3986), as libcurl reads them: what is compared here is what is connected to.
struct Url {
  std::string host;   ///< in lower case; an IPv6 address in brackets
  std::string port;   ///< always there, "443" if the URL names none
  std::string path;   ///< without dot segments, starts with "/"
  std::string query;  ///< without the "?", empty if there is none

  /// "https://host:port".
  [[nodiscard]] std::string origin() const;
  /// The whole URL. Fragments are dropped: they are never sent.
  [[nodiscard]] std::string text() const;

  /// Reads `url`, or resolves it against `base` if it is relative (RFC 3986 5.2). Errors: config_invalid, for anything
  /// but https, user info, an IPv6 zone, characters that are not ASCII, or what is not a URL at all.
  static Result<Url> parse(std::string_view url, std::string_view base = {});
};

}  // namespace devid::est
