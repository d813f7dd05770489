#pragma once

#include <cstdint>
#include <functional>

#include "agent/identity/profile.h"
#include "base/error.h"

namespace devid::identity {

/// Numbers from [0, 1): what decides where in its range a wait falls. Injected, so that tests choose.
using Random = std::function<double()>;

/// How long to wait after the given number of failures in a row (at least 1): exponential back-off with full jitter,
/// uniform in [minimum, min(maximum, minimum * 2^failures)]. Devices that failed together do not come back together.
Seconds backoff(std::uint32_t failures, const RetryPolicy& policy, const Random& random);

/// How long to wait after this failure, the given number in a row. A credential that works for the time `left` gives
/// time: the range goes up to a thirtieth of it, where that is longer, and to four times the maximum, or a fleet would
/// come back within the hour after an outage. What somebody has to put right is looked at again after
/// [maximum/2, maximum], however few the failures. Never sooner than error.retry_after, of which at most a day counts,
/// and up to an eighth later than that.
Seconds wait_after_failure(const Error& error, std::uint32_t failures, const RetryPolicy& policy, Seconds left,
                           const Random& random);

/// How long to wait after a look at the CA has failed, which happens once in an `interval`: nothing is in a hurry, up
/// to half of it, as long as the advice says, and never longer than the interval.
Seconds wait_after_look(const Error& error, Seconds interval, const RetryPolicy& policy, const Random& random);

/// How long to wait before a pending request is presented again: what the server said, at most a day, and up to an
/// eighth more, or the back-off if it said nothing (0).
Seconds wait_while_pending(Seconds retry_after, std::uint32_t polls, const RetryPolicy& policy, const Random& random);

/// No wait that comes of the above is longer.
Seconds longest_wait(const RetryPolicy& policy);

}  // namespace devid::identity
