#include "tests/support/full_file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <stdexcept>
#include <system_error>

#include "tests/support/forked_child.h"
#include "tests/support/own_mounts.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t unit = 4096;
constexpr std::size_t most_files = 10000;

[[noreturn]] void give_up(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), "cannot " + doing);
}

fs::path ballast_of(const fs::path& directory) { return directory / "ballast"; }

/// False if there is no room for it.
bool add_file(const fs::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 && errno == ENOSPC) return false;
  if (fd < 0) give_up("create " + path.string());
  const std::string content(unit, 'x');
  const ssize_t written = ::write(fd, content.data(), content.size());
  const int error = errno;
  ::close(fd);
  if (written == static_cast<ssize_t>(unit)) return true;
  fs::remove(path);
  errno = error;
  if (written < 0 && error != ENOSPC) give_up("write " + path.string());
  return false;
}

}  // namespace

std::string on_small_file_system(const fs::path& directory, Room room, const std::function<std::string()>& action) {
  return in_a_child([&] {
    leave_the_mounts_of_others();
    const std::string options = fmt::format("size={},nr_inodes={},mode=0700", room.bytes, room.files);
    if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
      give_up("mount a small file system");
    return action();
  });
}

void fill(const fs::path& directory, std::size_t spare) {
  unfill(directory);
  fs::create_directory(ballast_of(directory));
  std::size_t files = 0;
  while (files < most_files && add_file(ballast_of(directory) / std::to_string(files))) ++files;
  if (files == most_files || files < spare) throw std::runtime_error("the file system has not the expected size");
  for (; spare > 0; --spare) fs::remove(ballast_of(directory) / std::to_string(--files));
}

void unfill(const fs::path& directory) { fs::remove_all(ballast_of(directory)); }

}  // namespace devid::test
