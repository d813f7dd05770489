#pragma once

#include <optional>

#include "agent/identity/job.h"
#include "agent/identity/state.h"
#include "base/clock.h"

namespace devid::identity {

/// From when to when a certificate is valid, both ends included (RFC 5280 4.1.2.5).
struct Validity {
  Time not_before;
  Time not_after;
};

/// All that a decision depends on besides the profile and the time.
struct Situation {
  std::optional<Validity> credential;  ///< of the certificate that `current` names
  std::optional<JobKind> request;      ///< a key and its CSR wait on disk to be presented again
  Record record;
  std::optional<JobKind> running;
  Time known_since;  ///< since when this process knows the identity: what was never tried is due from then on
};

}  // namespace devid::identity
