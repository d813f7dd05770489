#include "tests/support/command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>

namespace devid::test {
namespace {

using Clock = std::chrono::steady_clock;

/// A pipe whose ends are closed with it.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  Pipe(Pipe&&) = delete;
  Pipe& operator=(Pipe&&) = delete;
  ~Pipe() {
    close(0);
    close(1);
  }
  [[nodiscard]] int end(std::size_t which) const { return ends_.at(which); }
  void close(std::size_t which) {
    const int fd = std::exchange(ends_.at(which), -1);
    if (fd >= 0) ::close(fd);
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> result;
  for (std::string& string : strings) result.push_back(string.data());
  result.push_back(nullptr);
  return result;
}

/// Starts the command; 0 and errno if that failed.
pid_t spawn(const CommandSpec& spec, const Pipe& in, const Pipe& out, const Pipe& err) {
  posix_spawn_file_actions_t actions{};
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  posix_spawn_file_actions_adddup2(&actions, in.end(0), 0);
  posix_spawn_file_actions_adddup2(&actions, out.end(1), 1);
  posix_spawn_file_actions_adddup2(&actions, err.end(1), 2);
  if (!spec.directory.empty()) posix_spawn_file_actions_addchdir_np(&actions, spec.directory.c_str());
  sigset_t none{};
  sigset_t defaults{};
  sigemptyset(&none);
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);

  std::vector<std::string> argv = spec.argv;
  std::vector<std::string> environment = spec.environment;  // ours comes after: getenv finds the first
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, argv.at(0).c_str(), &actions, &attributes, pointers(argv).data(),
                                 pointers(environment).data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error == 0) return pid;
  errno = error;
  return 0;
}

/// Takes what there is to read. False at the end.
bool drain(int fd, std::string& into) {
  std::array<char, 4096> buffer{};
  const ssize_t got = ::read(fd, buffer.data(), buffer.size());
  if (got > 0) into.append(buffer.data(), static_cast<std::size_t>(got));
  return got > 0 || (got < 0 && errno == EINTR);
}

/// Gives what can be written. False when all is written, or nobody reads.
bool feed(int fd, std::string_view& input) {
  const ssize_t written = ::write(fd, input.data(), input.size());
  if (written < 0 && errno != EAGAIN && errno != EINTR) return false;
  if (written > 0) input.remove_prefix(static_cast<std::size_t>(written));
  return !input.empty();
}

/// Moves bytes until both outputs are closed. False if the time is over before.
bool converse(const CommandSpec& spec, Pipe& in, Pipe& out, Pipe& err, Outcome& result) {
  std::string_view input = spec.input;
  if (input.empty()) in.close(1);
  if (in.end(1) >= 0) ::fcntl(in.end(1), F_SETFL, O_NONBLOCK);
  const auto deadline = Clock::now() + spec.timeout;
  while (out.end(0) >= 0 || err.end(0) >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    std::array<pollfd, 3> fds{{{.fd = in.end(1), .events = POLLOUT, .revents = 0},
                               {.fd = out.end(0), .events = POLLIN, .revents = 0},
                               {.fd = err.end(0), .events = POLLIN, .revents = 0}}};
    if (::poll(fds.data(), fds.size(), static_cast<int>(left)) <= 0) continue;
    if (fds[0].revents != 0 && !feed(in.end(1), input)) in.close(1);
    if (fds[1].revents != 0 && !drain(out.end(0), result.output)) out.close(0);
    if (fds[2].revents != 0 && !drain(err.end(0), result.errors)) err.close(0);
  }
  return true;
}

}  // namespace

Outcome run(const CommandSpec& spec) {
  std::signal(SIGPIPE, SIG_IGN);  // NOLINT(cert-err33-c): a command need not read what it is given
  Pipe in;
  Pipe out;
  Pipe err;
  Outcome result;
  const pid_t pid = spawn(spec, in, out, err);
  if (pid == 0) {
    result.status = 127;
    result.errors = "cannot start " + spec.argv.at(0) + ": " + std::generic_category().message(errno);
    return result;
  }
  in.close(0);
  out.close(1);
  err.close(1);
  result.timed_out = !converse(spec, in, out, err, result);
  if (result.timed_out) ::kill(-pid, SIGKILL);
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

std::string output_of(const CommandSpec& spec) {
  Outcome result = run(spec);
  if (result.ok()) return std::move(result.output);
  std::string text;
  for (const std::string& word : spec.argv) text += word + " ";
  throw std::runtime_error(text + (result.timed_out ? "took too long" : "ended with " + std::to_string(result.status)) +
                           ": " + result.errors);
}

}  // namespace devid::test
