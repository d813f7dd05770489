#include "agent/identity/backoff.h"

#include <algorithm>
#include <cmath>

namespace devid::identity {
namespace {

/// Nobody's advice silences devid for longer.
constexpr Seconds longest_advice = std::chrono::days(1);

/// A credential lasts long if so many of the longest waits have room in what is left of it.
constexpr int many = 30;

Seconds longest_patience(const RetryPolicy& policy) { return 4 * policy.maximum; }

Seconds ceiling(std::uint32_t failures, const RetryPolicy& policy) {
  Seconds ceiling = policy.minimum;
  for (std::uint32_t i = 0; i < failures && ceiling < policy.maximum; ++i) ceiling *= 2;
  return std::min(ceiling, policy.maximum);
}

Seconds at_most_a_day(const Error& error) { return std::min(error.retry_after.value_or(Seconds(0)), longest_advice); }

Seconds uniform(Seconds least, Seconds most, const Random& random) {
  const double share = std::clamp(random(), 0.0, 1.0);
  const double range = static_cast<double>((most - least).count());
  return least + Seconds(std::llround(share * range));
}

/// Somewhat later than advised: a server that says when its maintenance ends says that to the whole fleet.
Seconds obeyed(Seconds advice, const Random& random) {
  return std::min(uniform(advice, advice + advice / 8, random), longest_advice);
}

}  // namespace

Seconds backoff(std::uint32_t failures, const RetryPolicy& policy, const Random& random) {
  return uniform(policy.minimum, ceiling(failures, policy), random);
}

Seconds wait_after_failure(const Error& error, std::uint32_t failures, const RetryPolicy& policy, Seconds left,
                           const Random& random) {
  const Seconds patience = std::min(left / many, longest_patience(policy));
  const Seconds wait = error.retry == Retry::later
                           ? uniform(policy.minimum, std::max(ceiling(failures, policy), patience), random)
                           : uniform(std::max(policy.minimum, policy.maximum / 2), policy.maximum, random);
  return std::max(wait, obeyed(at_most_a_day(error), random));
}

Seconds wait_after_look(const Error& error, Seconds interval, const RetryPolicy& policy, const Random& random) {
  const Seconds wait = uniform(policy.minimum, std::max(policy.minimum, interval / 2), random);
  return std::min(interval, std::max(wait, obeyed(at_most_a_day(error), random)));
}

Seconds wait_while_pending(Seconds retry_after, std::uint32_t polls, const RetryPolicy& policy, const Random& random) {
  return retry_after > Seconds(0) ? obeyed(std::min(retry_after, longest_advice), random)
                                  : backoff(polls, policy, random);
}

Seconds longest_wait(const RetryPolicy& policy) { return std::max(longest_patience(policy), longest_advice); }

}  // namespace devid::identity
