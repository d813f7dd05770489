#include "tests/support/own_mounts.h"

#include <sched.h>
#include <sys/mount.h>

#include <cerrno>
#include <string>
#include <system_error>

#include "tests/support/own_namespace.h"

namespace devid::test {
namespace {

[[noreturn]] void give_up(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), "cannot " + doing);
}

}  // namespace

void leave_the_mounts_of_others() {
  enter_own_namespaces(CLONE_NEWNS);
  if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) give_up("make the mounts private");
}

void mount_empty_directory(const std::filesystem::path& over) {
  if (::mount("tmpfs", over.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755") != 0)
    give_up("mount over " + over.string());
}

}  // namespace devid::test
