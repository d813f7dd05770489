#pragma once

#include <filesystem>

namespace devid::test {

/// Makes this process root in a namespace of its own, where mounting is allowed and concerns nobody else but the
/// processes that it starts from now on. The caller has one thread, and is root or may make user namespaces. Throws
/// std::system_error, as the next one.
void leave_the_mounts_of_others();

/// Lets this process see an empty directory, in memory, in the place of one that is there. After
/// leave_the_mounts_of_others().
void mount_empty_directory(const std::filesystem::path& over);

}  // namespace devid::test
