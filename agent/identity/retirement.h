#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "agent/identity/abandoned_keys.h"
#include "agent/identity/store.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// An old generation, and when it goes.
struct Retirement {
  std::uint64_t generation = 0;
  Time since;  ///< since when it is not current any more
  Time until;  ///< when it expires
  bool operator==(const Retirement&) const = default;
};
/// So long after another took its place, or when it expires, whichever is first.
Time due(Time since, Time until, Seconds keep_old);

/// When old generations go. One that is damaged stays for whoever looks into it. Error: storage_failed.
Result<std::vector<Retirement>> plan_retirements(const Store& store);

/// What retire() has done.
struct Retired {
  std::vector<std::uint64_t> generations;
  Time since;  ///< the earliest Retirement::since of those that are left; if there are none, the end of time
  Time until;  ///< likewise
};

/// Takes away the generations whose time has come, and destroys their keys, unless they are in use elsewhere: a key is
/// in `abandoned` before the last that tells of it is gone, and stays there until a token has destroyed it. Error:
/// storage_failed.
Result<Retired> retire(Store& store, AbandonedKeys& abandoned, const Tokens& tokens, Seconds keep_old, Time now);

}  // namespace devid::identity
