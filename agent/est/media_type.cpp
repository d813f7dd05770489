#include "agent/est/media_type.h"

#include <algorithm>

#include "agent/est/ascii.h"

namespace devid::est {
namespace {

/// RFC 9110 5.6.2.
bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, [](char c) {
    constexpr std::string_view others = "!#$%&'*+-.^_`|~";
    return ascii::is_letter(c) || ascii::is_digit(c) || others.find(c) != std::string_view::npos;
  });
}

/// Cuts off what is before the next ";" that is not within quotes.
std::string_view next_part(std::string_view& rest) {
  bool quoted = false;
  std::size_t end = 0;
  for (; end < rest.size() && (quoted || rest[end] != ';'); ++end) {
    if (rest[end] == '"') quoted = !quoted;
    if (rest[end] == '\\' && quoted) ++end;
  }
  const std::string_view part = rest.substr(0, end);
  rest.remove_prefix(std::min(end + 1, rest.size()));
  return ascii::trim(part);
}

std::string unquoted(std::string_view value) {
  if (value.size() < 2 || !value.starts_with('"') || !value.ends_with('"')) return std::string(value);
  std::string out;
  for (std::size_t i = 1; i + 1 < value.size(); ++i) {
    if (value[i] == '\\' && i + 2 < value.size()) ++i;
    out += value[i];
  }
  return out;
}

}  // namespace

std::optional<MediaType> MediaType::parse(std::string_view text) {
  const std::string_view name = next_part(text);
  const auto slash = name.find('/');
  if (slash == std::string_view::npos || !is_token(name.substr(0, slash)) || !is_token(name.substr(slash + 1)))
    return std::nullopt;
  MediaType type{.name = ascii::lower(name), .parameters = {}};
  while (!text.empty()) {
    const std::string_view part = next_part(text);
    const auto equals = part.find('=');
    if (equals == std::string_view::npos || !is_token(ascii::trim(part.substr(0, equals)))) continue;
    type.parameters.try_emplace(ascii::lower(ascii::trim(part.substr(0, equals))),
                                unquoted(ascii::trim(part.substr(equals + 1))));
  }
  return type;
}

bool is_certs_only(const MediaType& type) {
  if (type.name != "application/pkcs7-mime") return false;
  const auto kind = type.parameters.find("smime-type");
  return kind == type.parameters.end() || ascii::lower(kind->second) == "certs-only";
}

}  // namespace devid::est
