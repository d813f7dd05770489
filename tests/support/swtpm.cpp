#include "tests/support/swtpm.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <thread>
#include <vector>

#include "tests/support/loopback.h"

namespace devid::test {
namespace {

/// swtpm writes this file when its ports are bound, and ends if another program has them.
std::filesystem::path pid_file(const std::filesystem::path& state) { return state / "pid"; }

std::vector<std::string> command_line(std::uint16_t port, const std::filesystem::path& state, Swtpm::Startup startup) {
  return {"swtpm",
          "socket",
          "--tpm2",
          "--server",
          "type=tcp,bindaddr=127.0.0.1,port=" + std::to_string(port),
          "--ctrl",
          "type=tcp,bindaddr=127.0.0.1,port=" + std::to_string(port + 1),
          "--tpmstate",
          "dir=" + state.string(),
          "--pid",
          "file=" + pid_file(state).string(),
          "--log",
          "file=" + (state / "log").string(),
          "--flags",
          startup == Swtpm::Startup::done ? "not-need-init,startup-clear" : "not-need-init"};
}

pid_t spawn(std::vector<std::string> words) {
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);  // the parent died before the prctl
  execvp(argv[0], argv.data());
  _exit(127);
}

bool has_written(const std::filesystem::path& pid_file, pid_t pid) {
  std::ifstream file(pid_file);
  pid_t written = 0;
  return static_cast<bool>(file >> written) && written == pid;
}

}  // namespace

std::string swtpm_tcti(std::uint16_t port) { return "swtpm:host=127.0.0.1,port=" + std::to_string(port); }

Swtpm::Swtpm(Startup startup) : startup_(startup) {
  // What tpm2-tss prints by itself would drown the tests' own output; the errors that devid returns are the interface.
  setenv("TSS2_LOG", "all+NONE", 0);
  constexpr int tries = 20;
  for (int attempt = 0; attempt < tries; ++attempt) {
    port_ = listen_on_port_pair().port;  // closed again here: somebody may be faster, then others are tried
    if (try_start()) return;
  }
  throw std::runtime_error("swtpm does not start; see " + (directory_.path() / "log").string());
}

Swtpm::~Swtpm() { stop(); }

std::string Swtpm::tcti() const { return swtpm_tcti(port_); }

void Swtpm::stop() {
  if (pid_ <= 0) return;
  kill(pid_, SIGKILL);
  while (waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
  pid_ = -1;
}

void Swtpm::start() {
  constexpr int tries = 20;
  for (int attempt = 0; pid_ <= 0 && attempt < tries; ++attempt) {
    if (try_start()) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // its ports may still be held
  }
  if (pid_ <= 0) throw std::runtime_error("swtpm does not start again; see " + (directory_.path() / "log").string());
}

void Swtpm::restart() {
  stop();
  start();
}

bool Swtpm::try_start() {
  std::filesystem::remove(pid_file(directory_.path()));
  pid_ = spawn(command_line(port_, directory_.path(), startup_));
  if (pid_ < 0) throw std::runtime_error("cannot fork");
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (std::chrono::steady_clock::now() < deadline) {
    if (waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      return false;
    }
    if (has_written(pid_file(directory_.path()), pid_)) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  stop();
  return false;
}

}  // namespace devid::test
