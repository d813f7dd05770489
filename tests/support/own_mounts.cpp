#include "tests/support/own_mounts.h"

#include <fmt/format.h>
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <string>
#include <system_error>

namespace devid::test {
namespace {

[[noreturn]] void give_up(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), "cannot " + doing);
}

void write_to(const char* file, const std::string& text) {
  if (!(std::ofstream(file) << text << std::flush)) give_up(std::string("write ") + file);
}

}  // namespace

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

void mount_empty_directory(const std::filesystem::path& over) {
  if (::mount("tmpfs", over.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
    give_up("mount over " + over.string());
}

}  // namespace devid::test
