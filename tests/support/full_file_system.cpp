#include "tests/support/full_file_system.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace devid::test {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t unit = 4096;
constexpr std::size_t most_files = 10000;

[[noreturn]] void give_up(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), "cannot " + doing);
}

void write_to(const char* file, const std::string& text) {
  if (!(std::ofstream(file) << text << std::flush)) give_up(std::string("write ") + file);
}

/// Root in a namespace of its own, where mounting is allowed and concerns nobody else.
void leave_the_mounts_of_others() {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (::unshare(user == 0 ? CLONE_NEWNS : CLONE_NEWNS | CLONE_NEWUSER) != 0) give_up("have mounts of one's own");
  if (user != 0) {
    write_to("/proc/self/setgroups", "deny");
    write_to("/proc/self/uid_map", fmt::format("0 {} 1", user));
    write_to("/proc/self/gid_map", fmt::format("0 {} 1", group));
  }
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) give_up("make the mounts private");
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0) ::_exit(3);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

[[noreturn]] void be_the_child(int report, const fs::path& directory, Room room,
                               const std::function<std::string()>& action) {
  try {
    leave_the_mounts_of_others();
    const std::string options = fmt::format("size={},nr_inodes={},mode=0700", room.bytes, room.files);
    if (::mount("tmpfs", directory.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, options.c_str()) != 0)
      give_up("mount a small file system");
    write_all(report, action());
    ::_exit(0);
  } catch (const std::exception& error) {
    write_all(report, error.what());
  }
  ::_exit(1);
}

std::string read_all(int fd) {
  std::string text;
  std::array<char, 4096> buffer{};
  for (;;) {
    const ssize_t got = ::read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return text;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
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
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("make a pipe");
  const pid_t child = ::fork();
  if (child < 0) give_up("fork");
  if (child == 0) be_the_child(ends[1], directory, room, action);
  ::close(ends[1]);
  std::string report = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) give_up("wait for the child");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("the child failed: " + report);
  return report;
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
