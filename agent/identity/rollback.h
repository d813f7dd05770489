#pragma once

#include <cstdint>
#include <string>

#include "agent/identity/store.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// Makes the previous generation current again: the newest one before `current` that has another certificate, if that
/// is still valid and its key signs for it. Returns its number. Errors: wrong_state, if there is none such;
/// storage_failed; those of the token, if it cannot be asked now. On any error nothing has changed.
Result<std::uint64_t> roll_back(Store& store, const Tokens& tokens, const Generation& current, Time now);

}  // namespace devid::identity
