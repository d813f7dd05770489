#pragma once

#include <cstddef>
#include <filesystem>

#include "agent/identity/tokens.h"
#include "base/result.h"

namespace devid::identity {

/// What was forgotten of an identity.
struct Forgotten {
  std::size_t keys_destroyed = 0;
  std::size_t keys_left = 0;  ///< that no token could destroy now: still listed in the directory, and tried again
};

/// Destroys every key below the directory of an identity, those of all generations, of requests, and what was
/// abandoned, and removes all files but the list of the keys that are left; without any, the directory too. Cut short
/// it is either undone or finished by the next start. Nobody has the directory in use. Error: storage_failed.
Result<Forgotten> forget(const std::filesystem::path& directory, const Tokens& tokens);

}  // namespace devid::identity
