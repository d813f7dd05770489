#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

namespace devid::test {

/// What a file system has room for.
struct Room {
  std::size_t bytes;
  std::size_t files;  ///< of any type, directories too
};

/// Forks, and lets the child carry out `action` with an empty file system of its own, in memory, on `directory`. Nobody
/// else sees it, and it goes with the child. Returns what the action returned. The caller has one thread, and is root
/// or may make user namespaces. Throws if the file system cannot be mounted, or the action throws.
std::string on_small_file_system(const std::filesystem::path& directory, Room room,
                                 const std::function<std::string()>& action);

/// Takes all the room that is left on the file system of a directory, with files of 4096 bytes in `directory`/ballast,
/// and gives back as much as `spare` of them had. Throws if it cannot be filled.
void fill(const std::filesystem::path& directory, std::size_t spare);

/// Gives back what fill took.
void unfill(const std::filesystem::path& directory);

}  // namespace devid::test
