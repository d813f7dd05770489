#include "tests/support/own_namespace.h"

#include <fmt/format.h>
#include <sched.h>
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

void enter_own_namespaces(int kinds) {
  const uid_t user = ::geteuid();
  const gid_t group = ::getegid();
  if (::unshare(user == 0 ? kinds : kinds | CLONE_NEWUSER) != 0) give_up("have namespaces of one's own");
  if (user == 0) return;
  write_to("/proc/self/setgroups", "deny");
  write_to("/proc/self/uid_map", fmt::format("0 {} 1", user));
  write_to("/proc/self/gid_map", fmt::format("0 {} 1", group));
}

}  // namespace devid::test
