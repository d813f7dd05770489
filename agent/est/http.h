#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/est/csr_source.h"
#include "base/wiped_text.h"

namespace devid::est {

/// What a POST carries: a request (PKCS#10, CMC) in base64.
struct Content {
  std::string type;  ///< the media type
  CsrSource source;
};

/// Where the body of an answer ends.
enum class BodyEnd {
  announced,      ///< where HTTP says that it does
  last_boundary,  ///< with the last boundary of a multipart body, else with the connection: libest 3.2.0 announces less
                  ///< than it sends. The connection is not used again.
};

/// One request to an EST server. With a content it is a POST, without one a GET.
struct Request {
  std::string url;
  std::string accept;  ///< the media type that is expected
  std::optional<Content> content;
  BodyEnd body_end = BodyEnd::announced;
};

/// What came back. All of it is untrusted.
struct Answer {
  long status = 0;
  std::map<std::string, std::string, std::less<>> headers;  ///< of those that matter, by name in lower case
  WipedText body;                                           ///< it may hold a private key
  bool cut = false;  ///< the body was longer than the limit: its beginning is here

  [[nodiscard]] std::string_view header(std::string_view name) const {
    const auto found = headers.find(name);
    return found == headers.end() ? std::string_view() : found->second;
  }
};

}  // namespace devid::est
