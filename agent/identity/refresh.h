#pragma once

#include <optional>

#include "agent/identity/generation.h"
#include "agent/identity/workplace.h"
#include "base/result.h"

namespace devid::identity {

/// What a look brought.
struct Refreshed {
  std::optional<Error> revocation;  ///< certificate_revoked, if the CA has taken the current certificate back
};

/// Looks at what the CA says while nothing is due: at /cacerts, so that a new root is known before it is needed, and at
/// whether it has taken the current certificate back. Where the trust anchors have changed, the current key,
/// certificate and chain become a new generation with them: other services are told as of any other. The CA's
/// certificates are had with the current credential, as some servers show them to nobody else. Errors:
/// revocation_unknown, those of contact(), and of the store.
Result<Refreshed> refresh(const Workplace& place, const Generation& current);

}  // namespace devid::identity
