#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "tests/dbus/device.h"
#include "tests/dbus/fake_systemd.h"
#include "tests/dbus/wait_until.h"

namespace devid::test {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ADeviceWithConsumers : public ::testing::Test {
 protected:
  ADeviceWithConsumers() {
    device_.write_profile("gateway", "[retry]\nminimum = \"1s\"\nmaximum = \"1s\"\n",
                          "after_rotation = [\"reload nginx.service\", \"try-restart mosquitto.service\"]\n");
  }

  /// The states of all consumers, as devidctl shows them.
  [[nodiscard]] std::vector<std::string> states() const {
    std::vector<std::string> states;
    const auto status = device_.status();
    for (const auto& consumer : status["consumers"]) states.push_back(consumer["state"]);
    return states;
  }
  [[nodiscard]] bool all_are(const std::string& state) const {
    const auto all = states();
    return all.size() == 2 && all[0] == state && all[1] == state;
  }

  Device device_;
};

TEST_F(ADeviceWithConsumers, AsksSystemdOnceForEachGeneration) {
  const FakeSystemd systemd(device_.bus());
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(wait_until([&] { return all_are("done"); })) << device_.bus().log();
  EXPECT_THAT(systemd.calls(),
              ElementsAre("ReloadUnit nginx.service replace", "TryRestartUnit mosquitto.service replace"));
  EXPECT_THAT(device_.ctl({"show", "gateway"}).output, HasSubstr("After rotation: reload nginx.service: done"));
  EXPECT_EQ(device_.ctl({"run-due"}).status, 0);
  device_.bus().kill_owner(SIGTERM);
  EXPECT_TRUE(all_are("done")) << "the next devidd remembers";
  EXPECT_EQ(systemd.calls().size(), 2U);

  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(wait_until([&] { return systemd.calls().size() == 4 && all_are("done"); })) << device_.bus().log();
}

TEST_F(ADeviceWithConsumers, IsToldAgainWithoutEnrollingAgain) {
  FakeSystemd systemd(device_.bus());
  systemd.end_jobs("failed");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(wait_until([&] { return all_are("failed"); })) << device_.bus().log();
  const auto connections = device_.server().connections();
  const auto shown = device_.ctl({"status"});
  EXPECT_EQ(shown.status, 1) << "nginx may still use the old certificate";
  EXPECT_THAT(shown.output, AllOf(HasSubstr("systemd could not reload nginx.service"), HasSubstr("tried again")));
  device_.bus().kill_owner(SIGTERM);
  EXPECT_EQ(device_.status()["consumers"][0]["state"], "failed") << "the next devidd remembers";
  systemd.end_jobs("done");
  ASSERT_TRUE(wait_until([&] { return device_.ctl({"run-due"}).status == 0 && all_are("done"); }))
      << device_.bus().log();
  EXPECT_EQ(device_.status()["generation"], 1);
  EXPECT_EQ(device_.server().connections(), connections);
  EXPECT_EQ(device_.ctl({"status"}).status, 0);
}

TEST_F(ADeviceWithConsumers, SaysWhatToDoWhereSystemdDoesNotAllowIt) {
  FakeSystemd systemd(device_.bus());
  systemd.refuse("org.freedesktop.DBus.Error.InteractiveAuthorizationRequired");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << "the credential is in place";
  ASSERT_TRUE(wait_until([&] { return all_are("failed"); })) << device_.bus().log();
  EXPECT_THAT(device_.status()["consumers"][0]["message"], HasSubstr("polkit"));
  EXPECT_THAT(device_.bus().log(), HasSubstr("the credential is in place, but systemd could not reload nginx.service"));
}

TEST_F(ADeviceWithConsumers, AreToldByTheNextDeviddWhereTheLastOneDied) {
  FakeSystemd systemd(device_.bus());
  systemd.end_jobs("");
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(wait_until([&] { return systemd.calls().size() == 2; })) << device_.bus().log();
  EXPECT_TRUE(all_are("pending"));
  device_.bus().kill_owner(SIGKILL);
  systemd.end_jobs("done");
  ASSERT_TRUE(wait_until([&] { return all_are("done"); })) << device_.bus().log();
  EXPECT_EQ(systemd.calls().size(), 4U);
  EXPECT_EQ(device_.status()["generation"], 1);
}

TEST_F(ADeviceWithConsumers, AreToldWhereDeviddDiedBeforeItCouldWriteThatDown) {
  const FakeSystemd systemd(device_.bus());
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(wait_until([&] { return all_are("done"); })) << device_.bus().log();
  device_.bus().kill_owner(SIGKILL);
  // As it was written before the generation was in place.
  std::ofstream(device_.state() / "gateway/state.json") << R"({"version": 1, "generation": 0, "attempts": 1})";
  ASSERT_TRUE(wait_until([&] { return all_are("done"); })) << device_.bus().log();
  EXPECT_EQ(systemd.calls().size(), 4U);
}

TEST_F(ADeviceWithConsumers, HasACredentialAlsoWhereThereIsNoSystemd) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_TRUE(wait_until([&] { return all_are("failed"); })) << device_.bus().log();
  EXPECT_EQ(device_.status()["state"], "valid");
  EXPECT_THAT(device_.status()["consumers"][0]["message"], HasSubstr("needs systemd on the system bus"));
}

TEST_F(ADeviceWithConsumers, AreNotToldOfWhatWasObtainedBeforeTheProfileNamedThem) {
  device_.write_profile("gateway");
  const FakeSystemd systemd(device_.bus());
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  device_.write_profile("gateway", "", "after_rotation = [\"restart nginx.service\"]\n");
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0);
  EXPECT_THAT(states(), IsEmpty());
  EXPECT_THAT(systemd.calls(), IsEmpty());
}

}  // namespace
}  // namespace devid::test
