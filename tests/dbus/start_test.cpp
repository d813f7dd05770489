#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <iostream>

#include "tests/dbus/bus_client.h"
#include "tests/dbus/device.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using testing::HasSubstr;
using testing::IsEmpty;

template <class Call>
std::chrono::milliseconds duration_of(Call&& call) {
  const auto begin = Steady::now();
  std::forward<Call>(call)();
  return std::chrono::duration_cast<std::chrono::milliseconds>(Steady::now() - begin);
}

class ADevidd : public ::testing::Test {
 protected:
  Device device_;
};

TEST_F(ADevidd, SaysSoAndLeavesWhereAnotherOneRuns) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  const pid_t first = device_.bus().owner();
  const auto second = run({.argv = {DEVID_BINARY_DIR "/devidd", "--configuration-directory", device_.configuration(),
                                    "--state-directory", device_.state()},
                           .environment = {device_.bus().environment()}});
  EXPECT_EQ(second.status, 1);
  EXPECT_THAT(second.errors, HasSubstr("another devidd is running"));
  EXPECT_EQ(std::ranges::count(second.errors, '\n'), 1) << second.errors;
  EXPECT_EQ(device_.bus().owner(), first);
  EXPECT_EQ(device_.status()["state"], "valid");
}

TEST_F(ADevidd, ServesTwoHundredIdentitiesWithoutAskingTheTpm) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  device_.bus().kill_owner(SIGTERM);
  constexpr int more = 199;
  for (int i = 0; i < more; ++i) {
    const std::string name = "device-" + std::to_string(i);
    device_.write_profile(name);
    fs::copy(device_.state() / "gateway", device_.state() / name,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  }
  device_.tap().reset();
  BusClient client(device_.bus());
  const auto ping = [&] { client.proxy("/org/devid1")->callMethod("Ping").onInterface("org.freedesktop.DBus.Peer"); };
  std::vector<sdbus::ObjectPath> jobs;
  const auto run_due = [&] {
    client.proxy("/org/devid1")->callMethod("RunDue").onInterface("org.devid1.Manager").storeResultsTo(jobs);
  };
  const auto start = duration_of(ping);
  const auto first = duration_of(run_due);
  const auto answered = duration_of([&] { EXPECT_FALSE(client.identity("gateway").empty()); });
  std::this_thread::sleep_for(500ms);  // what RunDue has set off is over
  const auto second = duration_of(run_due);
  std::cout << "200 identities: devidd answers " << start.count() << " ms after it was asked for; RunDue with nothing "
            << "due takes " << first.count() << " ms, and " << second.count() << " ms once more; a question after it "
            << answered.count() << " ms\n";
  EXPECT_THAT(jobs, IsEmpty());
  EXPECT_EQ(device_.status("device-198")["state"], "valid");
  EXPECT_THAT(device_.tap().seen().commands, IsEmpty());
  // A machine with nothing else to do takes a tenth of that: these only tell a loop in a loop from none.
  EXPECT_LT(start, 10s);
  EXPECT_LT(std::max(first, second), 1s);
}

}  // namespace
}  // namespace devid::test
