#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <iostream>
#include <regex>
#include <thread>

#include "tests/dbus/bus_client.h"
#include "tests/dbus/device.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define DEVID_SANITIZED 1
#endif

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;

/// Waits for a condition, 30 s at most.
template <class Condition>
bool wait_until(Condition&& condition) {
  for (int i = 0; i < 3000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(10ms);
  }
  return false;
}

/// A number of /proc/PID/status, summed over all threads.
long sum_over_threads(pid_t pid, const std::string& field) {
  long sum = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task")) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);)
      if (line.starts_with(field + ":")) sum += std::stol(line.substr(field.size() + 1));
  }
  return sum;
}

long resident_kib(pid_t pid) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stol(line.substr(6));
  return 0;
}

class ADaemon : public ::testing::Test {
 protected:
  Device device_;
};

TEST_F(ADaemon, AnswersFromMemoryWhileEveryTpmCommandTakesASecond) {
  device_.tap().delay(1s);
  BusClient client(device_.bus());
  client.start("Enroll");
  ASSERT_TRUE(wait_until([&] { return !device_.tap().seen().commands.empty(); })) << device_.bus().log();
  auto slowest = 0us;
  for (int i = 0; i < 200; ++i) {
    const auto begin = Steady::now();
    const auto identity = client.identity();
    slowest = std::max(slowest, std::chrono::duration_cast<std::chrono::microseconds>(Steady::now() - begin));
    ASSERT_FALSE(identity.empty());
  }
  EXPECT_FALSE(client.jobs().empty()) << "the enrollment was to be running all the time";
  std::cout << "200 calls of GetAll during an enrollment on a TPM of 1 s a command: the slowest took "
            << slowest.count() << " us\n";
  EXPECT_LE(slowest, 50ms);
  device_.tap().heal();
}

TEST_F(ADaemon, IsOneSmallProcessAtRestThatDoesNotWakeUp) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  const pid_t pid = device_.bus().owner();
  ASSERT_GT(pid, 0);
  std::this_thread::sleep_for(300ms);  // the answer to the last client is out
  const long before = sum_over_threads(pid, "voluntary_ctxt_switches");
  std::this_thread::sleep_for(5s);
  const long wakeups = sum_over_threads(pid, "voluntary_ctxt_switches") - before;
  const long resident = resident_kib(pid);
  std::cout << "at rest after an enrollment and a renewal: " << resident << " KiB resident, " << wakeups
            << " wakeups in 5 s\n";
#ifndef __SANITIZE_THREAD__  // it has a thread of its own
  EXPECT_EQ(wakeups, 0);
#endif
#ifndef DEVID_SANITIZED
  EXPECT_LE(resident, 15000000 / 1024);
#endif
  std::ifstream children("/proc/" + std::to_string(pid) + "/task/" + std::to_string(pid) + "/children");
  std::string child;
  EXPECT_FALSE(children >> child) << "devidd has a child process";
}

TEST_F(ADaemon, GivesASecondCallerTheSameJob) {
  device_.tap().delay(100ms);
  BusClient one(device_.bus());
  BusClient two(device_.bus());
  const std::string job = one.start("Enroll");
  EXPECT_EQ(two.start("Enroll"), job);
  EXPECT_EQ(one.jobs(), std::vector<std::string>{job});
  device_.tap().heal();
  ASSERT_TRUE(wait_until([&] { return one.jobs().empty(); }));
  device_.tap().delay(100ms);
  const std::string renewal = one.start("Renew");
  EXPECT_NE(renewal, job);
  EXPECT_EQ(two.start("Renew"), renewal);
  device_.tap().heal();
  ASSERT_TRUE(wait_until([&] { return one.jobs().empty(); }));
  EXPECT_EQ(device_.status()["generation"], 2);
}

TEST_F(ADaemon, StopsAJobThatIsCancelled) {
  device_.tap().delay(200ms);
  BusClient client(device_.bus());
  const std::string job = client.start("Enroll");
  client.proxy(job)->callMethod("Cancel").onInterface("org.devid1.Job");
  device_.tap().heal();
  ASSERT_TRUE(wait_until([&] { return client.jobs().empty(); }));
  EXPECT_EQ(device_.status()["generation"], 0);
  EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 0) << "a cancelled job is in nobody's way";
}

TEST_F(ADaemon, NamesTheMistakesOfItsClients) {
  BusClient client(device_.bus());
  const auto manager = client.proxy("/org/devid1");
  sdbus::ObjectPath path;
  EXPECT_EQ(error_of([&] {
              manager->callMethod("GetIdentity")
                  .onInterface("org.devid1.Manager")
                  .withArguments(std::string("nobody\x1b[2J"))
                  .storeResultsTo(path);
            }),
            "org.devid1.Error.NoSuchIdentity");
  EXPECT_EQ(error_of([&] { client.start("Enroll", {{"force", sdbus::Variant(std::string("yes"))}}); }),
            "org.devid1.Error.Usage");
  EXPECT_EQ(error_of([&] { client.start("Enroll", {{"hurry", sdbus::Variant(true)}}); }), "org.devid1.Error.Usage");
  EXPECT_EQ(error_of([&] { client.start("Renew"); }), "org.devid1.Error.WrongState");
  EXPECT_EQ(error_of([&] { client.identity("nobody"); }), "org.freedesktop.DBus.Error.UnknownObject");
  EXPECT_NE(error_of([&] {  // a number where a dictionary is due
              client.proxy("/org/devid1/identity/gateway")
                  ->callMethod("Enroll")
                  .onInterface("org.devid1.Identity")
                  .withArguments(std::uint32_t{7});
            }),
            "");
  EXPECT_EQ(error_of([&] { client.identity(); }), "") << "and it still answers";
}

TEST_F(ADaemon, RefusesOtherUsersWhateverChangesAnything) {
  const auto as_nobody = [&](std::vector<std::string> arguments) {
    std::vector<std::string> argv;
    if (::geteuid() != 0) argv = {"sudo", "-n"};
    argv.insert(argv.end(), {"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "env",
                             device_.bus().environment(), DEVID_BINARY_DIR "/devidctl"});
    argv.insert(argv.end(), arguments.begin(), arguments.end());
    return run({.argv = argv});
  };
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  const auto may_read = as_nobody({"status"});
  EXPECT_EQ(may_read.status, 0) << may_read.errors;
  for (const auto& arguments :
       std::vector<std::vector<std::string>>{{"enroll", "gateway", "--force"},
                                             {"renew", "gateway"},
                                             {"trust", "gateway", "--fingerprint", std::string(64, 'a')},
                                             {"run-due"},
                                             {"check"},
                                             {"reload"}}) {
    const auto refused = as_nobody(arguments);
    EXPECT_EQ(refused.status, 4) << arguments.front() << ": " << refused.output << refused.errors;
    EXPECT_NE(refused.errors.find("error: "), std::string::npos) << refused.errors;
  }
  EXPECT_EQ(device_.status()["generation"], 1);
}

TEST_F(ADaemon, TellsTheBusWhatHasChanged) {
  BusClient client(device_.bus());
  const auto connection = sdbus::createSessionBusConnectionWithAddress(device_.bus().address());
  std::uint64_t rotated_to = 0;
  std::vector<std::string> removed;
  const auto identity = sdbus::createProxy(*connection, "org.devid1", "/org/devid1/identity/gateway");
  identity->uponSignal("Rotated").onInterface("org.devid1.Identity").call([&](std::uint64_t, std::uint64_t generation) {
    rotated_to = generation;
  });
  identity->finishRegistration();
  const auto manager = sdbus::createProxy(*connection, "org.devid1", "/org/devid1");
  manager->uponSignal("JobRemoved")
      .onInterface("org.devid1.Manager")
      .call([&](const sdbus::ObjectPath&, const sdbus::ObjectPath&, const std::string& result) {
        removed.push_back(result);
      });
  manager->finishRegistration();
  client.start("Enroll");
  ASSERT_TRUE(wait_until([&] {
    while (connection->processPendingRequest()) continue;
    return !removed.empty();
  }));
  EXPECT_EQ(removed, std::vector<std::string>{"done"});
  EXPECT_EQ(rotated_to, 1U);
}

TEST_F(ADaemon, ReadsAGoodConfigurationAgainAndKeepsTheOldOneOverABadOne) {
  device_.write_profile("second");
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);
  EXPECT_EQ(device_.status("second")["state"], "unenrolled");
  device_.write_profile("second", "[key]\nalgoritm = \"ec-p256\"\n");
  const auto refused = device_.ctl({"reload"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_TRUE(std::regex_search(refused.errors, std::regex("second\\.toml:5:1"))) << refused.errors;
  EXPECT_NE(refused.errors.find("algorithm"), std::string::npos) << "the nearest known key: " << refused.errors;
  EXPECT_EQ(device_.status("second")["state"], "unenrolled");
}

TEST_F(ADaemon, ChecksTheConfigurationWithoutAdoptingIt) {
  const auto right = device_.ctl({"check"});
  EXPECT_EQ(right.status, 0);
  EXPECT_EQ(right.output, "the configuration is right\n");
  device_.write_profile("second", "[key]\nalgoritm = \"ec-p256\"\n[renewal]\nwindow = \"Sat 25:00\"\n");
  const auto wrong = device_.ctl({"check"});
  EXPECT_EQ(wrong.status, 1);
  EXPECT_TRUE(std::regex_search(wrong.output, std::regex("second\\.toml:5:1: .*algoritm"))) << wrong.output;
  EXPECT_TRUE(std::regex_search(wrong.output, std::regex("second\\.toml:7:10: .*Sat 25:00")))
      << "all of it: " << wrong.output;
  EXPECT_NE(wrong.output.find("  hint: "), std::string::npos);
  EXPECT_EQ(device_.ctl({"status", "second"}).status, 3) << "there is no such identity yet";
  const auto json = nlohmann::json::parse(device_.ctl({"check", "--json"}).output);
  EXPECT_EQ(json["problems"].size(), 2U);
  EXPECT_EQ(json["problems"][0]["code"], "ConfigInvalid");
}

TEST_F(ADaemon, ExplainsWhatComesNext) {
  const auto before = device_.ctl({"status", "gateway", "--explain"});
  EXPECT_EQ(before.status, 1);
  EXPECT_NE(before.output.find("there is no credential yet that could expire"), std::string::npos) << before.output;
  ASSERT_EQ(device_.ctl({"enroll", "gateway"}).status, 0);
  const auto after = device_.ctl({"status", "gateway", "--explain"});
  EXPECT_EQ(after.status, 0);
  EXPECT_NE(after.output.find("its renewal is planned for"), std::string::npos) << after.output;
  EXPECT_EQ(device_.ctl({"status", "--explain"}).status, 2) << "of which identity?";
  const auto json = nlohmann::json::parse(device_.ctl({"status", "gateway", "--explain", "--json"}).output);
  EXPECT_GE(json["explanation"].size(), 4U);
}

TEST_F(ADaemon, StartsWithABadProfileAndServesTheOthers) {
  device_.write_configuration("identities.d/broken.toml", "this is not TOML");
  EXPECT_EQ(device_.status("broken")["state"], "blocked");
  EXPECT_NE(device_.status("broken")["reason"].get<std::string>().find("broken.toml:1:"), std::string::npos);
  EXPECT_EQ(device_.ctl({"enroll", "gateway"}).status, 0);
}

TEST(ADaemonThatNobodyNeeds, LeavesAndComesBackWhenItIsCalled) {
  Device device({.idle_timeout = 1});
  ASSERT_EQ(device.ctl({"run-due"}).status, 0);
  const pid_t first = device.bus().owner();
  ASSERT_GT(first, 0);
  ASSERT_TRUE(wait_until([&] { return device.bus().owner() == 0; }));
  EXPECT_EQ(device.status()["state"], "valid");
  EXPECT_NE(device.bus().owner(), first);
}

TEST(ADaemonThatIsJustLeaving, LosesNoCallOfDevidctl) {
  Device device({.idle_timeout = 1});
  ASSERT_EQ(device.ctl({"enroll", "gateway"}).status, 0);
  for (int i = 0; i < 8; ++i) {  // around the second at which it leaves
    std::this_thread::sleep_for(940ms + i * 15ms);
    const auto renewed = device.ctl({"renew", "gateway"});
    EXPECT_EQ(renewed.status, 0) << i << ": " << renewed.errors;
  }
  EXPECT_EQ(device.status()["generation"], 9);
}

TEST_F(ADaemon, StopsAtASignalInTheMiddleOfAJobAndLeavesEverythingRight) {
  ASSERT_EQ(device_.ctl({"enroll", "gateway"}).status, 0);
  device_.tap().delay(100ms);
  BusClient client(device_.bus());
  client.start("Renew");
  auto reloads = client.proxy("/org/devid1");
  for (int i = 0; i < 20; ++i)  // replies that nobody waits for, some of them on their way when the signal comes
    reloads->callMethodAsync("Reload").onInterface("org.devid1.Manager").uponReplyInvoke([](const sdbus::Error*) {});
  ASSERT_TRUE(wait_until([&] { return device_.tap().seen().commands.size() > 12; }));
  const auto begin = Steady::now();
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  EXPECT_LT(Steady::now() - begin, 8s);
  device_.tap().heal();
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  EXPECT_EQ(device_.bus().log().find("AddressSanitizer"), std::string::npos) << device_.bus().log();
  EXPECT_EQ(device_.ctl({"renew", "gateway"}).status, 0);
}

TEST(ADaemonThatIsKilledInTheMiddleOfAJob, IsReportedByDevidctlAndGoesOnWithTheNextCall) {
  Device device;
  device.tap().delay(100ms);
  Outcome outcome;
  std::thread caller([&] { outcome = device.ctl({"enroll", "gateway"}); });
  EXPECT_TRUE(wait_until([&] { return device.tap().seen().commands.size() >= 3; }));
  device.bus().kill_owner(SIGKILL);
  caller.join();
  EXPECT_EQ(outcome.status, 1);
  EXPECT_NE(outcome.errors.find("devidd went away"), std::string::npos) << outcome.errors;
  device.tap().heal();
  EXPECT_EQ(device.ctl({"enroll", "gateway"}).status, 0);
  EXPECT_EQ(flaw_of_current(device.current(), device.operator_root()), "");
  EXPECT_EQ(flaw_of_key(device.current(), device.swtpm().tcti()), "");
}

}  // namespace
}  // namespace devid::test
