#include "tests/support/tabrmd.h"

#include <chrono>
#include <stdexcept>
#include <thread>

#include "tests/support/command.h"

namespace devid::test {
namespace {

constexpr const char* bus_name = "org.devid.test.Tabrmd";

std::string address_in(const std::filesystem::path& directory) { return "unix:path=" + (directory / "bus").string(); }

bool is_bus_ready(const std::string& address) {
  return run({.argv = {"dbus-send", "--bus=" + address, "--dest=org.freedesktop.DBus", "--print-reply", "/",
                       "org.freedesktop.DBus.GetId"}})
      .ok();
}

/// The address of a bus that answers: what connects to it has to find it.
std::string wait_for_bus(const std::filesystem::path& directory) {
  const std::string address = address_in(directory);
  for (int i = 0; i < 500 && !is_bus_ready(address); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  return address;
}

}  // namespace

Tabrmd::Tabrmd(const Swtpm& swtpm)
    : bus_({"dbus-daemon", "--session", "--address=" + address_in(directory_.path()), "--nofork", "--nopidfile"}, {},
           directory_.path() / "bus.log"),
      daemon_(
          {"tpm2-abrmd", "--session", "--allow-root", "--tcti=" + swtpm.tcti(), std::string("--dbus-name=") + bus_name},
          {"DBUS_SESSION_BUS_ADDRESS=" + wait_for_bus(directory_.path())}, directory_.path() / "tabrmd.log") {
  wait_for_name();
}

std::string Tabrmd::tcti() const { return std::string("tabrmd:bus_name=") + bus_name + ",bus_type=session"; }

std::string Tabrmd::environment() const { return "DBUS_SESSION_BUS_ADDRESS=" + address_in(directory_.path()); }

void Tabrmd::wait_for_name() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (std::chrono::steady_clock::now() < deadline && bus_.runs() && daemon_.runs()) {
    const auto owned =
        run({.argv = {"dbus-send", "--bus=" + address_in(directory_.path()), "--dest=org.freedesktop.DBus",
                      "--print-reply", "/", "org.freedesktop.DBus.NameHasOwner", std::string("string:") + bus_name}});
    if (owned.ok() && owned.output.find("true") != std::string::npos) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  const auto logs = run({.argv = {"sh", "-c", "cat *.log"}, .directory = directory_.path()});
  throw std::runtime_error("tpm2-abrmd does not start: " + logs.output);
}

}  // namespace devid::test
