#include "agent/identity/authorization_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace devid::identity {
namespace {

constexpr unsigned highest_register = 23;
constexpr std::string_view pcr_prefix = "pcr:";
constexpr std::array<std::pair<std::string_view, Digest>, 3> banks{
    {{"sha256", Digest::sha256}, {"sha384", Digest::sha384}, {"sha512", Digest::sha512}}};

std::optional<unsigned> parse_register(std::string_view text) {
  unsigned number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = failed == std::errc() && end == text.data() + text.size();
  return whole && text.size() <= 2 && number <= highest_register ? std::optional(number) : std::nullopt;
}

}  // namespace

std::optional<PcrPolicy> parse_pcr_policy(std::string_view text) {
  const std::size_t colon = text.find(':');
  const auto* const bank = std::ranges::find(banks, text.substr(0, colon), &decltype(banks)::value_type::first);
  if (colon == std::string_view::npos || bank == banks.end()) return std::nullopt;
  PcrPolicy policy{.bank = bank->second};
  std::string_view rest = text.substr(colon + 1);
  for (bool more = true; more;) {
    const std::size_t comma = rest.find(',');
    const auto number = parse_register(rest.substr(0, comma));
    if (!number || std::ranges::find(policy.registers, *number) != policy.registers.end()) return std::nullopt;
    policy.registers.push_back(*number);
    more = comma != std::string_view::npos;
    if (more) rest.remove_prefix(comma + 1);
  }
  std::ranges::sort(policy.registers);
  return policy;
}

std::string authorization_text(const KeyAuthorization& authorization) {
  if (std::holds_alternative<AuthValue>(authorization)) return "value";
  const auto* policy = std::get_if<PcrPolicy>(&authorization);
  if (policy == nullptr) return "none";
  const auto* const bank = std::ranges::find(banks, policy->bank, &decltype(banks)::value_type::second);
  return fmt::format("{}{}:{}", pcr_prefix, bank->first, fmt::join(policy->registers, ","));
}

std::optional<KeyAuthorization> parse_authorization(std::string_view text) {
  if (text == "none") return NoAuthorization{};
  if (text == "value") return AuthValue{};
  if (!text.starts_with(pcr_prefix)) return std::nullopt;
  auto policy = parse_pcr_policy(text.substr(pcr_prefix.size()));
  return policy ? std::optional<KeyAuthorization>(std::move(*policy)) : std::nullopt;
}

}  // namespace devid::identity
