#pragma once

#include <algorithm>
#include <boost/beast/http/fields.hpp>
#include <cctype>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace devid::test {

inline std::string text_of(boost::beast::string_view text) { return {text.data(), text.size()}; }

/// The headers of a message in their order, with their names in lower case.
inline std::vector<std::pair<std::string, std::string>> seen_headers(const boost::beast::http::fields& fields) {
  std::vector<std::pair<std::string, std::string>> headers;
  for (const auto& field : fields) {
    std::string name = text_of(field.name_string());
    std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    headers.emplace_back(std::move(name), text_of(field.value()));
  }
  return headers;
}

}  // namespace devid::test
