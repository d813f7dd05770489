#include "tests/support/killed_child.h"

#include <fcntl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace devid::test {
namespace {

[[noreturn]] void be_the_child(const std::function<bool()>& action) {
  if (::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0) ::_exit(2);
  ::raise(SIGSTOP);  // from here the parent sees everything
  ::_exit(action() ? 0 : 1);
}

int wait_for(pid_t child) {
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) throw std::runtime_error("waitpid failed");
  }
  return status;
}

/// Whether a file descriptor of the child is of a file, not of a socket or a pipe.
bool is_of_file(pid_t child, std::uint64_t descriptor) {
  std::error_code error;
  const auto target =
      std::filesystem::read_symlink("/proc/" + std::to_string(child) + "/fd/" + std::to_string(descriptor), error);
  return !error && target.is_absolute() && !target.string().starts_with("/dev/");
}

bool changes_something(pid_t child, const __ptrace_syscall_info& call) {
  const auto& arguments = call.entry.args;
  switch (call.entry.nr) {
    case SYS_openat: return (arguments[2] & (O_CREAT | O_TRUNC)) != 0;
    case SYS_write:
    case SYS_writev:
    case SYS_pwrite64:
    case SYS_ftruncate:
    case SYS_fchmod:
    case SYS_fsync:
    case SYS_fdatasync: return is_of_file(child, arguments[0]);
#ifdef SYS_rename
    case SYS_open: return (arguments[1] & (O_CREAT | O_TRUNC)) != 0;
    case SYS_rename:
    case SYS_unlink:
    case SYS_rmdir:
    case SYS_mkdir:
    case SYS_symlink:
    case SYS_link:
    case SYS_chmod:
#endif
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlinkat:
    case SYS_mkdirat:
    case SYS_symlinkat:
    case SYS_linkat:
    case SYS_fchmodat: return true;
    default: return false;
  }
}

}  // namespace

unsigned look_before_each_change(const std::function<bool()>& action, const std::function<void()>& look) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) be_the_child(action);
  int status = wait_for(child);
  if (!WIFSTOPPED(status)) throw std::runtime_error("the child cannot be traced");
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  unsigned changes = 0;
  for (long signal = 0;;) {
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, signal) != 0) throw std::runtime_error("the child cannot be traced");
    status = wait_for(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return changes;
    if (!WIFSTOPPED(status)) throw std::runtime_error("the child has failed");
    const bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    signal = at_call ? 0 : WSTOPSIG(status);
    __ptrace_syscall_info call{};
    if (!at_call || ::ptrace(PTRACE_GET_SYSCALL_INFO, child, sizeof call, &call) <= 0) continue;
    if (call.op != PTRACE_SYSCALL_INFO_ENTRY || !changes_something(child, call)) continue;
    ++changes;
    look();
  }
}

ChildEnd run_until_system_call(unsigned nth, const std::function<bool()>& action) {
  const pid_t child = ::fork();
  if (child < 0) throw std::runtime_error("cannot fork");
  if (child == 0) be_the_child(action);
  int status = wait_for(child);
  if (!WIFSTOPPED(status)) throw std::runtime_error("the child cannot be traced");
  ::ptrace(PTRACE_SETOPTIONS, child, nullptr, PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL);
  bool entering = true;
  long signal = 0;
  for (unsigned calls = 0; calls < nth;) {
    if (::ptrace(PTRACE_SYSCALL, child, nullptr, signal) != 0) throw std::runtime_error("the child cannot be traced");
    status = wait_for(child);
    if (WIFEXITED(status)) return WEXITSTATUS(status) == 0 ? ChildEnd::finished : ChildEnd::failed;
    if (!WIFSTOPPED(status)) return ChildEnd::failed;
    const bool at_call = WSTOPSIG(status) == (SIGTRAP | 0x80);
    signal = at_call ? 0 : WSTOPSIG(status);
    if (!at_call) continue;
    if (entering) ++calls;
    entering = !entering;
  }
  ::kill(child, SIGKILL);
  wait_for(child);
  return ChildEnd::killed;
}

}  // namespace devid::test
