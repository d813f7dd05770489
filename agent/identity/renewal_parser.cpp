#include "agent/identity/renewal_parser.h"

#include <fmt/format.h>

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "agent/identity/duration.h"

namespace devid::identity {
namespace {

using std::chrono::days;

constexpr DurationRange before_range{std::chrono::minutes(1), days(36500)};
constexpr DurationRange window_range{std::chrono::minutes(30), days(7)};
constexpr DurationRange keep_range{Seconds(0), days(3650)};
constexpr Seconds default_window = std::chrono::hours(2);

/// A number of at most four digits and nothing else.
std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, failed] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = failed == std::errc() && end == text.data() + text.size();
  return whole && text.size() <= 4 ? std::optional(number) : std::nullopt;
}

/// "2/3" or "66%".
std::optional<LifetimeShare> parse_share(std::string_view text) {
  const std::size_t sign = text.find_first_of("/%");
  if (sign == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(sign + 1);
  const auto numerator = parse_number(text.substr(0, sign));
  const auto denominator = text[sign] == '/' ? parse_number(rest) : std::optional(100U);
  if (!numerator || !denominator || (text[sign] == '%' && !rest.empty())) return std::nullopt;
  return LifetimeShare{.numerator = *numerator, .denominator = *denominator};
}

void parse_time(TableParser& table, RenewAt& at) {
  const auto text = table.string("renew_at");
  if (!text) return;
  if (const auto share = parse_share(*text)) {
    if (share->numerator > 0 && share->numerator < share->denominator && share->denominator <= 1000) {
      at = *share;
    } else {
      table.complain("renew_at",
                     fmt::format("renewal.renew_at must be more than nothing and less than the whole "
                                 "lifetime, not '{}'",
                                 *text),
                     "write a share between the two, such as \"2/3\" or \"66%\"");
    }
  } else if (!parse_duration(*text)) {
    table.complain("renew_at", fmt::format("renewal.renew_at cannot be '{}'", *text),
                   "write a share of the lifetime, \"2/3\" or \"66%\", or a time before the expiry, \"30d\"");
  } else if (const auto before = table.duration("renew_at", before_range)) {
    at = BeforeExpiry{*before};
  }
}

void parse_spread(TableParser& table, std::uint32_t& spread) {
  const auto text = table.string("spread");
  if (!text) return;
  const auto percent = text->ends_with('%') ? parse_number(std::string_view(*text).substr(0, text->size() - 1))
                                            : std::optional<std::uint32_t>();
  if (percent && *percent <= 50) {
    spread = *percent;
  } else {
    table.complain("spread", fmt::format("renewal.spread cannot be '{}'", *text),
                   "write a share of the lifetime from \"0%\" to \"50%\"");
  }
}

void parse_window(TableParser& table, std::optional<MaintenanceWindow>& window) {
  const auto opens = table.string("window");
  const auto length = table.duration("window_length", window_range);
  if (table.has("window_length") && !table.has("window"))
    table.complain("window_length", "renewal.window_length needs a renewal.window", "say when it opens: \"Sat 02:00\"");
  if (!opens) return;
  auto events = CalendarEvents::parse(*opens);
  if (events) {
    window = MaintenanceWindow{.opens = std::move(*events), .length = length.value_or(default_window)};
  } else {
    table.complain("window", "renewal.window: " + events.error().what, events.error().hint);
  }
}

/// "always", "never" or "every N".
void parse_rekey(TableParser& table, std::uint32_t& rekey_every) {
  constexpr std::string_view every = "every ";
  const auto text = table.string("rekey");
  if (!text || *text == "always") return;
  if (*text == "never") {
    rekey_every = 0;
    return;
  }
  const auto number = text->starts_with(every) ? parse_number(std::string_view(*text).substr(every.size()))
                                               : std::optional<std::uint32_t>();
  if (number && *number > 0) {
    rekey_every = *number;
  } else {
    table.complain("rekey", fmt::format("renewal.rekey cannot be '{}'", *text),
                   "write \"always\", \"never\", or \"every 5\" for a new key with each fifth renewal");
  }
}

}  // namespace

RenewalPolicy parse_renewal(TableParser table) {
  RenewalPolicy policy;
  parse_time(table, policy.at);
  parse_spread(table, policy.spread);
  parse_window(table, policy.window);
  parse_rekey(table, policy.rekey_every);
  policy.keep_old = table.duration("keep_old", keep_range).value_or(policy.keep_old);
  policy.enroll_again = table.boolean("enroll_again").value_or(policy.enroll_again);
  policy.prove = table.boolean("prove").value_or(policy.prove);
  table.refuse_unknown();
  return policy;
}

}  // namespace devid::identity
