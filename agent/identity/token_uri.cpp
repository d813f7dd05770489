#include "agent/identity/token_uri.h"

#include <algorithm>
#include <string>

namespace devid::identity {
namespace {

constexpr std::string_view scheme = "pkcs11:";

Result<> wrong(std::string what) {
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = "this is no PKCS#11 URI: " + std::move(what),
               .hint = "write \"pkcs11:token=LABEL\"; p11tool --list-tokens shows the URIs of tokens"});
}

bool is_one_of(char c, std::string_view more) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         more.find(c) != std::string_view::npos;
}

bool is_hexadecimal(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

/// Each '%' begins an octet in hexadecimal.
bool is_percent_encoded(std::string_view value) {
  for (auto at = value.find('%'); at != std::string_view::npos; at = value.find('%', at + 1))
    if (at + 2 >= value.size() || !is_hexadecimal(value[at + 1]) || !is_hexadecimal(value[at + 2])) return false;
  return true;
}

Result<> check_attribute(std::string_view attribute) {
  const std::size_t equals = attribute.find('=');
  if (equals == std::string_view::npos || equals == 0) return wrong("an attribute has no name or no value");
  const auto name = attribute.substr(0, equals);
  const auto value = attribute.substr(equals + 1);
  if (!std::ranges::all_of(name, [](char c) { return is_one_of(c, "-_"); }))
    return wrong("the name of an attribute may have letters, digits, '-' and '_'");
  if (!std::ranges::all_of(value, [](char c) { return is_one_of(c, "-._~:[]@!$'()*+,=&/?|%"); }))
    return wrong("the value of an attribute has characters that need to be written as %XX");
  if (!is_percent_encoded(value)) return wrong("a '%' must be followed by two hexadecimal digits");
  return {};
}

Result<> check_attributes(std::string_view text, char separator) {
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(separator), text.size());
    if (auto checked = check_attribute(text.substr(0, end)); !checked) return checked;
    if (end + 1 == text.size()) return wrong("it ends in a separator");
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return {};
}

}  // namespace

bool is_token_uri(std::string_view text) { return text.starts_with(scheme); }

Result<> check_token_uri(std::string_view uri) {
  if (!is_token_uri(uri)) return wrong("it does not begin with \"pkcs11:\"");
  const std::string_view rest = uri.substr(scheme.size());
  const std::size_t query = std::min(rest.find('?'), rest.size());
  if (auto path = check_attributes(rest.substr(0, query), ';'); !path) return path;
  if (query == rest.size()) return {};
  if (query + 1 == rest.size()) return wrong("nothing follows the '?'");
  return check_attributes(rest.substr(query + 1), '&');
}

}  // namespace devid::identity
