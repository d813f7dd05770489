#pragma once

#include <filesystem>
#include <functional>
#include <vector>

#include "agent/identity/abandoned_keys.h"
#include "agent/identity/store_layout.h"
#include "base/result.h"

namespace devid::identity {

/// What Store::clean_up did.
struct CleanUp {
  std::vector<AbandonedKey> abandoned_keys;
  bool fell_back = false;  ///< `current` was unusable, and names the newest complete older generation now, or is gone
};

/// What an operator is told where `current` fell back.
Error damaged();

/// The key in a directory that may be half written: empty if there is none that can be read.
AbandonedKey key_in(const std::filesystem::path& directory);

/// Told of each key before what tells of it is removed, even if it is in use elsewhere.
using OnAbandoned = std::function<void(const AbandonedKey&)>;

/// Store::clean_up, on a directory.
Result<CleanUp> clean_up(const StoreLayout& layout, const OnAbandoned& on_abandoned);

}  // namespace devid::identity
