#pragma once

#include <optional>

#include "agent/identity/job.h"
#include "agent/identity/renewal.h"
#include "agent/identity/state.h"
#include "base/clock.h"

namespace devid::identity {

/// All that a decision depends on besides the profile and the time.
struct Situation {
  std::optional<Holding> credential;  ///< the certificate that `current` names
  std::optional<JobKind> request;     ///< a key and its CSR wait on disk to be presented again
  bool granted = false;               ///< and the certificate is there, and has to be proved
  Record record;
  std::optional<JobKind> running;
  Time clock_floor;  ///< no clock that is right is before that: when devid was built
  Time known_since;  ///< since when this process knows the identity: what was never tried is due from then on
};

}  // namespace devid::identity
