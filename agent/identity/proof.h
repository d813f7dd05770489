#pragma once

#include "agent/identity/generation.h"
#include "agent/identity/rotation.h"
#include "agent/identity/workplace.h"
#include "base/result.h"

namespace devid::identity {

/// Proves that the key of a candidate signs for its certificate. If it does not, the candidate is gone, with its key.
/// Errors: certificate_wrong_key, and those of the token if it cannot be asked now; then the candidate stays.
Result<> prove_key(const Workplace& place, const Generation& candidate);

/// Makes what prove_key() has proved current, after the server has let the device in with it, if the profile wants
/// that. A server that does not say no, but cannot be asked, is asked again by the next job, without another
/// certificate; that goes on for an hour at most, or for a quarter of the time that the current credential has left,
/// and not at all where there is no credential that works: then the new one becomes current unproven, which is noticed.
/// `candidate` is what the store keeps as such; it is gone where it became current, and where it is of no use, with its
/// key. Errors: certificate_refused, certificate_not_valid_now, those of contact(), the token and the store; cancelled.
Result<Rotation> prove_and_install(const Workplace& place, const Generation& candidate);

/// Whether a credential that could not be proved so far becomes current all the same. `current` is null if there is
/// none. Pure.
bool may_go_unproven(const Generation& candidate, const Generation* current, Time now);

}  // namespace devid::identity
