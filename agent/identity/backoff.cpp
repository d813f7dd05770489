#include "agent/identity/backoff.h"

#include <algorithm>
#include <cmath>

namespace devid::identity {
namespace {

/// Nobody's advice silences devid for longer.
constexpr Seconds longest_advice = std::chrono::days(1);

Seconds uniform(Seconds least, Seconds most, const Random& random) {
  const double share = std::clamp(random(), 0.0, 1.0);
  const double range = static_cast<double>((most - least).count());
  return least + Seconds(std::llround(share * range));
}

}  // namespace

Seconds backoff(std::uint32_t failures, const RetryPolicy& policy, const Random& random) {
  Seconds ceiling = policy.minimum;
  for (std::uint32_t i = 0; i < failures && ceiling < policy.maximum; ++i) ceiling *= 2;
  return uniform(policy.minimum, std::min(ceiling, policy.maximum), random);
}

Seconds wait_after_failure(const Error& error, std::uint32_t failures, const RetryPolicy& policy,
                           const Random& random) {
  const Seconds wait = error.retry == Retry::later
                           ? backoff(failures, policy, random)
                           : uniform(std::max(policy.minimum, policy.maximum / 2), policy.maximum, random);
  return std::max(wait, std::min(error.retry_after.value_or(Seconds(0)), longest_advice));
}

Seconds wait_while_pending(Seconds retry_after, std::uint32_t polls, const RetryPolicy& policy, const Random& random) {
  return retry_after > Seconds(0) ? std::min(retry_after, longest_advice) : backoff(polls, policy, random);
}

Seconds longest_wait(const RetryPolicy& policy) { return std::max(policy.maximum, longest_advice); }

}  // namespace devid::identity
