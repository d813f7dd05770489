#pragma once

#include <sys/types.h>

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace devid {

/// Reads a regular file of at most `limit` bytes. A missing file is Errc::config_missing or storage_failed as `missing`
/// says; a directory, a device or a larger file is an error that says so.
Result<std::string> read_file(const std::filesystem::path& path, std::size_t limit,
                              Errc missing = Errc::storage_failed);

/// Replaces `path` by a file with this content, or leaves what was there: temporary file in the same directory, fsync,
/// rename, fsync of the directory.
Result<> write_file_atomically(const std::filesystem::path& path, std::string_view content, mode_t mode);

/// Makes `link` point to `target` in one step: a new symlink, renamed over the old one, then fsync of the directory.
Result<> replace_symlink(const std::filesystem::path& link, const std::filesystem::path& target);

/// Makes a directory and its missing parents; the mode holds for those that are made. Each parent is fsynced.
Result<> make_directories(const std::filesystem::path& path, mode_t mode);

/// Renames a directory within one parent and fsyncs the parent. Fails if `to` exists and is not empty.
Result<> rename_directory(const std::filesystem::path& from, const std::filesystem::path& to);

/// Removes a file or a whole directory; nothing there is no error.
Result<> remove_all(const std::filesystem::path& path);

}  // namespace devid
