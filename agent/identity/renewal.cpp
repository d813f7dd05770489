#include "agent/identity/renewal.h"

#include <algorithm>
#include <charconv>
#include <cmath>

namespace devid::identity {
namespace {

/// devid-run-due.timer comes that often: what begins later may miss the window.
constexpr Seconds last_call = std::chrono::minutes(20);

Seconds part(Seconds whole, double share) {
  return Seconds(std::llround(static_cast<double>(whole.count()) * std::clamp(share, 0.0, 1.0)));
}

}  // namespace

RenewalTime renewal_time(const Validity& validity, const RenewAt& renew_at) {
  const Seconds lifetime = validity.not_after - validity.not_before;
  if (const auto* share = std::get_if<LifetimeShare>(&renew_at))
    return {.at = validity.not_before + lifetime * share->numerator / share->denominator};
  const Seconds before = std::get<BeforeExpiry>(renew_at).time;
  if (before < lifetime) return {.at = validity.not_after - before};
  return {.at = validity.not_before + lifetime / 2, .clamped = true};
}

bool is_rekey_due(const RenewalPolicy& policy, std::uint32_t certificates) {
  return policy.rekey_every != 0 && certificates >= policy.rekey_every;
}

Time planned_renewal(const Holding& holding, const RenewalPolicy& policy) {
  const Validity& validity = holding.validity;
  const Time latest = renewal_time(validity, policy.at).at;
  const Time since = std::max(holding.since.value_or(validity.not_before), validity.not_before);
  if (since >= latest) return since < validity.not_after ? since + (validity.not_after - since) / 2 : latest;
  if (policy.spread == 0) return latest;
  const Seconds lifetime = validity.not_after - validity.not_before;
  const Seconds most = (latest - since) * 9 / 10;
  const Seconds range = holding.enrolled ? most : std::min(most, lifetime * policy.spread / 100);
  return latest - range + part(range, holding.share);
}

Time in_window(const MaintenanceWindow& window, const Holding& holding, Time planned, Time due, Time now) {
  const Time from = std::max(due, now);
  const Time latest = planned + (holding.validity.not_after - planned) / 2;
  const auto opens = window.opens.next(from - window.length);
  if (!opens || from > latest) return due;
  if (due >= *opens) return from;  // became due while it is open
  // By other bits than those that have chosen the window among its likes.
  const double share = std::fmod(holding.share * 4096, 1.0);
  const Time own = *opens + part(std::max(window.length - last_call, Seconds(0)), share);
  const Time at = std::max(own, from);
  return at <= latest ? at : due;
}

double share_of(std::string_view fingerprint) {
  // The first 52 bits, as many as a double holds.
  std::uint64_t bits = 0;
  const std::string_view digits = fingerprint.substr(0, 13);
  std::from_chars(digits.data(), digits.data() + digits.size(), bits, 16);
  return std::ldexp(static_cast<double>(bits), -52);
}

}  // namespace devid::identity
