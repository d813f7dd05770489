#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"

namespace devid::identity {

/// A file of ours is not what we wrote: Errc::state_corrupt.
Error corrupt(const std::filesystem::path& path, std::string reason);

/// Reads a file that this program wrote once, of at most `limit` bytes. Tells a file that is damaged (state_corrupt:
/// missing, of another type, too large) from one that cannot be read for now (storage_failed: no permission, an I/O
/// error, no descriptor left), because only the former will stay so.
Result<std::string> read_stored(const std::filesystem::path& path, std::size_t limit);

}  // namespace devid::identity
