#include "tokens/tpm/location.h"

#include <fmt/format.h>

#include <charconv>

namespace devid::tpm {
namespace {

constexpr std::uint32_t kind_mask = 0xFF000000;  // TPM 2.0 Part 2, 7.2: the first octet says what a handle leads to

struct Form {
  std::string_view prefix;
  std::uint32_t kind;
  std::string_view example;
};
constexpr Form handle_form{.prefix = "handle:0x", .kind = 0x81000000, .example = "handle:0x81020000"};
constexpr Form index_form{.prefix = "nv:0x", .kind = 0x01000000, .example = "nv:0x01c90200"};

Result<std::uint32_t> parse(std::string_view location, const Form& form) {
  std::uint32_t number = 0;
  if (location.starts_with(form.prefix)) {
    const std::string_view digits = location.substr(form.prefix.size());
    const auto [stopped, error] = std::from_chars(digits.begin(), digits.end(), number, 16);
    if (error == std::errc() && stopped == digits.end() && (number & kind_mask) == form.kind) return number;
  }
  return fail({.code = Errc::usage,
               .retry = Retry::after_operator,
               .what = "'" + printable(location) + "' is not a place in a TPM",
               .hint = "write it like " + std::string(form.example)});
}

}  // namespace

Result<std::uint32_t> parse_handle(std::string_view location) { return parse(location, handle_form); }

Result<std::uint32_t> parse_nv_index(std::string_view location) { return parse(location, index_form); }

std::string handle_location(std::uint32_t handle) { return fmt::format("handle:0x{:08x}", handle); }

std::string index_location(std::uint32_t index) { return fmt::format("nv:0x{:08x}", index); }

}  // namespace devid::tpm
