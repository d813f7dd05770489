#pragma once

#include "agent/identity/generation.h"
#include "agent/identity/request.h"
#include "agent/identity/workplace.h"
#include "base/result.h"

namespace devid::identity {

/// Destroys the key of a request, and forgets the request. A key that a generation or the candidate has, too, stays:
/// the current one may have been presented again. One that cannot be destroyed now, or of which it cannot be said who
/// has it, is remembered. Error: storage_failed.
Result<> abandon(const Workplace& place, const Request& request);

/// The same for what was issued and cannot be used; a request for the same key goes with it. Error: storage_failed.
Result<> abandon(const Workplace& place, const Generation& candidate);

/// Takes the keys that are in use after all out of those that were abandoned, before the others are destroyed. Error:
/// storage_failed, if it cannot be said which are in use: then none may be destroyed.
Result<> spare_keys_in_use(const Store& store, AbandonedKeys& abandoned);

}  // namespace devid::identity
