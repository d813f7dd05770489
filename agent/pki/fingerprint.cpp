#include "agent/pki/fingerprint.h"

#include <fmt/format.h>

namespace devid::pki {
namespace {

constexpr std::size_t digits = 64;

Error wrong(std::string reason) {
  return {.code = Errc::usage,
          .retry = Retry::never,
          .what = "that is no SHA-256 fingerprint",
          .reason = std::move(reason),
          .hint = "openssl x509 -noout -fingerprint -sha256 -in FILE prints it: 64 hexadecimal digits"};
}

}  // namespace

Result<std::string> parse_fingerprint(std::string_view text) {
  std::string found;
  for (const char c : text) {
    if (c == ':' || c == ' ' || c == '\t') continue;
    const char lower = c >= 'A' && c <= 'F' ? static_cast<char>(c - 'A' + 'a') : c;
    const bool digit = (lower >= '0' && lower <= '9') || (lower >= 'a' && lower <= 'f');
    if (!digit) return fail(wrong("it has other characters than hexadecimal digits"));
    if (found.size() == digits) return fail(wrong("it has more than 64 digits"));
    found += lower;
  }
  if (found.size() < digits) return fail(wrong(fmt::format("it has {} digits", found.size())));
  return found;
}

}  // namespace devid::pki
