#include "tests/support/forked_child.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <exception>
#include <stdexcept>
#include <string_view>
#include <system_error>

namespace devid::test {
namespace {

constexpr unsigned nobody = 65534;

[[noreturn]] void give_up(const std::string& doing) {
  throw std::system_error(errno, std::generic_category(), "cannot " + doing);
}

void write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0) ::_exit(3);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

[[noreturn]] void be_the_child(int report, const std::function<std::string()>& action) {
  try {
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

}  // namespace

std::string in_a_child(const std::function<std::string()>& action) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) give_up("make a pipe");
  const pid_t child = ::fork();
  if (child < 0) give_up("fork");
  if (child == 0) be_the_child(ends[1], action);
  ::close(ends[1]);
  std::string report = read_all(ends[0]);
  ::close(ends[0]);
  int status = 0;
  while (::waitpid(child, &status, 0) < 0)
    if (errno != EINTR) give_up("wait for the child");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) throw std::runtime_error("the child failed: " + report);
  return report;
}

std::string in_a_child_without_privileges(const std::function<std::string()>& action) {
  return in_a_child([&] {
    if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setresgid(nobody, nobody, nobody) != 0 ||
                             ::setresuid(nobody, nobody, nobody) != 0))
      give_up("become nobody");
    return action();
  });
}

}  // namespace devid::test
