#include "tests/support/private_bus.h"

#include <fcntl.h>
#include <sdbus-c++/sdbus-c++.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <iterator>
#include <ranges>
#include <stdexcept>
#include <string_view>
#include <thread>

#include "tests/support/system_bus_rules.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;

/// The rules of /usr/share/dbus-1/system.conf that matter, then devid's own; whoever runs the tests may do what root
/// may.
std::string bus_configuration(const std::filesystem::path& directory) {
  const std::string user = std::to_string(::geteuid());
  return R"(<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <listen>unix:path=)" +
         (directory / "bus").string() + R"(</listen>
  <auth>EXTERNAL</auth>
  <servicedir>)" +
         directory.string() + R"(</servicedir>
)" + system_bus_rules +
         R"(  <include>)" DEVID_SOURCE_DIR R"(/policies/org.devid1.conf</include>
  <policy user=")" +
         user + R"(">
    <allow own="*"/>
    <allow send_destination="*"/>
  </policy>
</busconfig>
)";
}

pid_t start(const std::filesystem::path& directory, int ready) {
  const std::string configuration = "--config-file=" + (directory / "bus.conf").string();
  const std::string print = "--print-address=" + std::to_string(ready);
  const std::array argv{"dbus-daemon",
                        configuration.c_str(),
                        print.c_str(),
                        "--nofork",
                        "--nopidfile",
                        "--nosyslog",
                        static_cast<const char*>(nullptr)};
  // For what it starts. Everything that allocates is done before fork: other threads may hold the allocator's lock.
  const std::string address = "DBUS_SYSTEM_BUS_ADDRESS=unix:path=" + (directory / "bus").string();
  std::vector<const char*> environment{address.c_str()};
  for (char** variable = environ; *variable != nullptr; ++variable)
    if (!std::string_view(*variable).starts_with("DBUS_SYSTEM_BUS_ADDRESS=")) environment.push_back(*variable);
  environment.push_back(nullptr);
  const int log = ::open((directory / "log").c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t pid = ::fork();
  if (pid != 0) {
    ::close(log);
    return pid;
  }
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);
  ::dup2(log, STDERR_FILENO);
  ::fcntl(ready, F_SETFD, 0);
  ::execvpe("dbus-daemon", const_cast<char**>(argv.data()), const_cast<char**>(environment.data()));  // NOLINT
  ::_exit(127);
}

}  // namespace

PrivateBus::PrivateBus(const std::vector<std::string>& daemon) {
  ::chmod(directory_.path().c_str(), 0755);  // other users may connect: what they may do is the policy's to say  NOLINT
  write_configuration(daemon);
  std::array<int, 2> ready{};
  if (::pipe2(ready.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  pid_ = start(directory_.path(), ready[1]);
  ::close(ready[1]);
  std::array<char, 512> line{};
  const ssize_t got = ::read(ready[0], line.data(), line.size());
  ::close(ready[0]);
  if (got <= 0) throw std::runtime_error("dbus-daemon does not start: " + log());
  address_ = "unix:path=" + (directory_.path() / "bus").string();
}

void PrivateBus::write_configuration(const std::vector<std::string>& daemon) const {
  std::ofstream(directory_.path() / "bus.conf") << bus_configuration(directory_.path());
  std::ofstream service(directory_.path() / "org.devid1.service");
  service << "[D-BUS Service]\nName=org.devid1\nExec=" << daemon.front();
  for (const auto& word : daemon | std::views::drop(1)) service << ' ' << word;
  service << '\n';
}

PrivateBus::~PrivateBus() {
  kill_owner(SIGTERM);
  ::kill(-pid_, SIGKILL);  // its process group: what it has activated, too
  ::waitpid(pid_, nullptr, 0);
}

std::string PrivateBus::log() const {
  std::ifstream file(directory_.path() / "log");
  return {std::istreambuf_iterator<char>(file), {}};
}

pid_t PrivateBus::owner() const {
  try {
    const auto connection = sdbus::createSessionBusConnectionWithAddress(address_);
    const auto bus = sdbus::createProxy(*connection, "org.freedesktop.DBus", "/org/freedesktop/DBus");
    std::uint32_t pid = 0;
    bus->callMethod("GetConnectionUnixProcessID")
        .onInterface("org.freedesktop.DBus")
        .withArguments(std::string("org.devid1"))
        .storeResultsTo(pid);
    return static_cast<pid_t>(pid);
  } catch (const sdbus::Error&) {
    return 0;
  }
}

bool PrivateBus::kill_owner(int signal) const {
  const pid_t pid = owner();
  if (pid <= 0) return false;
  ::kill(pid, signal);
  for (int i = 0; i < 2000 && owner() == pid; ++i) std::this_thread::sleep_for(5ms);
  if (owner() == pid) ::kill(pid, SIGKILL);  // it had ten seconds
  return true;
}

}  // namespace devid::test
