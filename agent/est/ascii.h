#pragma once

#include <string>
#include <string_view>

namespace devid::est::ascii {

/// What protocol text is compared and cut by: ASCII, whatever the locale.

constexpr bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
constexpr bool is_digit(char c) { return c >= '0' && c <= '9'; }
constexpr bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/// Without the white space around it.
std::string_view trim(std::string_view text);
/// A to Z in lower case, all else as it is.
std::string lower(std::string_view text);

}  // namespace devid::est::ascii
