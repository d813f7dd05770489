#include "tests/support/killed_child.h"

#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stdexcept>

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

}  // namespace

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
