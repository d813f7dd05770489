#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// A generation that was current until an operator went back to an older one.
struct RolledBack {
  std::uint64_t generation = 0;
  Time at;
  bool operator==(const RolledBack&) const = default;
};

/// Reads rolled-back.json: nothing if it is not there, or damaged. Error: storage_failed.
Result<std::vector<RolledBack>> read_rolled_back(const std::filesystem::path& file);

/// Error: storage_failed.
Result<> write_rolled_back(const std::filesystem::path& file, const std::vector<RolledBack>& list);

}  // namespace devid::identity
