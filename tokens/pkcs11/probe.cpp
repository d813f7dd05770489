#include "tokens/pkcs11/probe.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>

#include "base/bytes.h"

namespace devid::pkcs11 {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;
constexpr std::size_t longest_report = 4096;
/// The descriptor at which the probe reports; the module may write to the standard ones.
constexpr int report_descriptor = 3;

/// What makes a file another one.
struct Version {
  dev_t device = 0;
  ino_t inode = 0;
  off_t size = 0;
  time_t seconds = 0;
  long nanoseconds = 0;
  auto operator<=>(const Version&) const = default;
};

/// The versions of modules that passed, of this process.
class Passed {
 public:
  bool contains(const std::filesystem::path& module, const Version& version) {
    const std::lock_guard lock(mutex_);
    const auto found = versions_.find(module);
    return found != versions_.end() && found->second == version;
  }
  void add(const std::filesystem::path& module, const Version& version) {
    const std::lock_guard lock(mutex_);
    versions_.insert_or_assign(module, version);
  }

 private:
  std::mutex mutex_;
  std::map<std::filesystem::path, Version> versions_;
};

Passed& passed() {
  static Passed versions;
  return versions;
}

class Descriptor {
 public:
  explicit Descriptor(int descriptor) : descriptor_(descriptor) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  Descriptor(Descriptor&&) = delete;
  Descriptor& operator=(Descriptor&&) = delete;
  ~Descriptor() { close(); }
  [[nodiscard]] int get() const { return descriptor_; }
  void close() {
    if (descriptor_ >= 0) ::close(descriptor_);
    descriptor_ = -1;
  }

 private:
  int descriptor_;
};

Error unusable(const std::filesystem::path& module, std::string reason) {
  return {.code = Errc::token_module,
          .retry = Retry::after_operator,
          .what = "cannot use the PKCS#11 module " + module.string(),
          .reason = std::move(reason),
          .hint =
              "check that it is the module of this token, for this architecture and version of the system, and "
              "that it works with `pkcs11-tool --module FILE --list-slots` as the user devid"};
}

std::string reason_of(int error) { return std::generic_category().message(error); }

/// glibc 2.36 declares its pidfd_open(2) for C only.
int open_process(pid_t pid) { return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)); }

/// A child in a process group of its own, which is killed with its owner.
class Child {
 public:
  explicit Child(pid_t pid) : pid_(pid), descriptor_(open_process(pid)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  Child(Child&&) = delete;
  Child& operator=(Child&&) = delete;
  ~Child() { std::ignore = end(); }

  /// Readable once it ended.
  [[nodiscard]] int descriptor() const { return descriptor_.get(); }
  /// Kills what is left of its group, and returns the status of waitpid(2).
  int end() {
    if (pid_ <= 0) return status_;
    ::kill(-pid_, SIGKILL);
    while (::waitpid(pid_, &status_, 0) < 0 && errno == EINTR) {
    }
    pid_ = -1;
    return status_;
  }

 private:
  pid_t pid_;
  Descriptor descriptor_;
  int status_ = 0;
};

Result<pid_t> start(const std::filesystem::path& probe, const std::filesystem::path& module, int report) {
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_init(&attributes);
  // Made from higher numbers, so that none of the three steps overwrites the descriptor that another one needs.
  posix_spawn_file_actions_adddup2(&actions, report, report_descriptor);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  sigset_t none;
  sigemptyset(&none);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setpgroup(&attributes, 0);
  posix_spawnattr_setflags(&attributes, static_cast<short>(POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK));
  std::string program = probe.string();
  std::string argument = module.string();
  std::array<char*, 3> argv{program.data(), argument.data(), nullptr};
  pid_t pid = -1;
  const int error = posix_spawn(&pid, program.c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return fail(unusable(module, "cannot start " + program + ": " + reason_of(error)));
  return pid;
}

int milliseconds_until(SteadyTime deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return static_cast<int>(std::max<std::chrono::milliseconds::rep>(left.count(), 0));
}

/// What the probe said until it ended, or until the deadline. False if that came first. A module may leave a process
/// behind that holds the report open: the end of the probe counts.
bool listen(int report, int child, SteadyTime deadline, std::string& said) {
  while (milliseconds_until(deadline) > 0) {
    std::array<pollfd, 2> awaited{pollfd{.fd = report, .events = POLLIN, .revents = 0},
                                  pollfd{.fd = child, .events = POLLIN, .revents = 0}};
    const int ready = ::poll(awaited.data(), awaited.size(), milliseconds_until(deadline));
    if (ready < 0 && errno != EINTR) return false;
    if (ready > 0 && (awaited[0].revents & POLLIN) != 0) {
      std::array<char, 512> buffer{};
      const ssize_t got = ::read(report, buffer.data(), buffer.size());
      if (got > 0 && said.size() < longest_report) said.append(buffer.data(), static_cast<std::size_t>(got));
      if (got > 0) continue;
    }
    if ((awaited[0].revents & POLLHUP) != 0) report = -1;  // which poll(2) passes over
    if ((awaited[1].revents & POLLIN) != 0) return true;
  }
  return false;
}

/// The last line that is whole, and the one before: the probe writes a step's name before it takes the step.
std::string last_line(std::string_view said) {
  if (!said.empty() && said.back() == '\n') said.remove_suffix(1);
  const auto at = said.rfind('\n');
  return printable(at == std::string_view::npos ? said : said.substr(at + 1));
}

std::string signal_text(int number) {
  const char* description = sigdescr_np(number);
  return "signal " + std::to_string(number) + " (" + (description == nullptr ? "unknown" : description) + ")";
}

Result<> verdict(const std::filesystem::path& module, bool ended, int status, std::string_view said) {
  const std::string line = last_line(said);
  const std::string where = line.empty() ? " before it began" : " in " + line;
  if (!ended) return fail(unusable(module, "it hangs" + where));
  if (WIFSIGNALED(status)) return fail(unusable(module, "it ended by " + signal_text(WTERMSIG(status)) + where));
  if (WEXITSTATUS(status) == 0 && line == "done") return {};
  if (WEXITSTATUS(status) == 1) return fail(unusable(module, line));
  return fail(unusable(module, "it ended the process with status " + std::to_string(WEXITSTATUS(status)) + where));
}

Result<> run_probe(const std::filesystem::path& probe, const std::filesystem::path& module,
                   std::chrono::milliseconds limit) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail(unusable(module, "pipe2: " + reason_of(errno)));
  const Descriptor report(ends[0]);
  // dup2(2) onto the same number would leave it closed on exec.
  Descriptor write_end(::fcntl(ends[1], F_DUPFD_CLOEXEC, report_descriptor + 1));
  ::close(ends[1]);
  const SteadyTime deadline = std::chrono::steady_clock::now() + limit;
  const auto pid = start(probe, module, write_end.get());
  if (!pid) return fail(pid.error());
  write_end.close();
  Child child(*pid);
  if (child.descriptor() < 0) return fail(unusable(module, "cannot watch the probe: " + reason_of(errno)));
  std::string said;
  const bool ended = listen(report.get(), child.descriptor(), deadline, said);
  return verdict(module, ended, child.end(), said);
}

}  // namespace

Result<> probe_module(const std::filesystem::path& probe, const std::filesystem::path& module,
                      std::chrono::milliseconds limit) {
  struct stat about = {};
  if (::stat(module.c_str(), &about) != 0) return fail(unusable(module, reason_of(errno)));
  if (!S_ISREG(about.st_mode)) return fail(unusable(module, "it is not a regular file"));
  const Version version{.device = about.st_dev,
                        .inode = about.st_ino,
                        .size = about.st_size,
                        .seconds = about.st_mtim.tv_sec,
                        .nanoseconds = about.st_mtim.tv_nsec};
  if (passed().contains(module, version)) return {};
  if (probe.empty()) return fail(unusable(module, "no program is configured that would try it first"));
  if (auto tried = run_probe(probe, module, limit); !tried) return tried;
  passed().add(module, version);
  return {};
}

}  // namespace devid::pkcs11
