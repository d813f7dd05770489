#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace devid::est {

/// One request to an EST server. With a body it is a POST of a PKCS#10 request, without one a GET.
struct Request {
  std::string url;
  std::string accept;               ///< the media type that is expected
  std::optional<std::string> body;  ///< base64, in lines
};

/// What came back. All of it is untrusted.
struct Answer {
  long status = 0;
  std::map<std::string, std::string, std::less<>> headers;  ///< of those that matter, by name in lower case
  std::string body;
  bool cut = false;  ///< the body was longer than the limit: its beginning is here

  [[nodiscard]] std::string_view header(std::string_view name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : found->second;
  }
};

}  // namespace devid::est
