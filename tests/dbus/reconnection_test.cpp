#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "tests/dbus/device.h"
#include "tests/dbus/wait_until.h"
#include "tests/support/cable.h"
#include "tests/support/own_network.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using Steady = std::chrono::steady_clock;
using testing::HasSubstr;

class OwnNetwork {
 public:
  OwnNetwork() { leave_the_network_of_others(); }
};

/// A device whose EST server is at the other end of a cable.
class ADeviceOnACable : public ::testing::Test, private OwnNetwork {
 protected:
  [[nodiscard]] DeviceSpec spec() const {
    return {.idle_timeout = 1,
            .options = {"--network-spread", "1"},
            .server_address = Cable::far_address,
            .where_the_server_is = [this](const auto& start) { cable_.at_far_end(start); }};
  }

  Cable cable_;
  Device device_{spec()};
};

TEST_F(ADeviceOnACable, IsRepeatedSoonAfterTheLinkIsBackAndNotAfterTheBackOff) {
  device_.write_profile("gateway", "[retry]\nminimum = \"1h\"\nmaximum = \"6h\"\n");
  cable_.unplug();
  ASSERT_EQ(device_.ctl({"run-due"}).status, 1);
  EXPECT_EQ(device_.status()["last_error"]["code"], "NetworkUnreachable");
  const pid_t devidd = device_.bus().owner();
  std::this_thread::sleep_for(3s);
  EXPECT_EQ(device_.bus().owner(), devidd) << "it waits for the network, although it was idle";
  EXPECT_EQ(device_.server().connections(), 0U);
  const auto begin = Steady::now();
  cable_.plug();
  ASSERT_TRUE(wait_until([&] { return device_.status()["generation"] == 1; })) << device_.bus().log();
  EXPECT_LT(Steady::now() - begin, 30s);
  EXPECT_THAT(device_.bus().log(), HasSubstr("tried again now"));
  EXPECT_TRUE(wait_until([&] { return device_.bus().owner() == 0; })) << "then nobody needs it";
}

TEST_F(ADeviceOnACable, IsRepeatedWhereTheNetworkCameBackWhileTheAttemptWasFailing) {
  device_.write_profile("gateway",
                        "connect_timeout = \"5s\"\ntimeout = \"5s\"\n[retry]\nminimum = \"1h\"\nmaximum = \"6h\"\n");
  device_.server().misbehave(EstOperation::cacerts, {.delay = 8s}, 1);
  auto enrolling = std::async(std::launch::async, [&] { return device_.ctl({"run-due"}); });
  ASSERT_TRUE(wait_until([&] { return device_.server().connections() > 0; }));
  cable_.unplug();
  cable_.plug();
  ASSERT_EQ(enrolling.get().status, 1);
  EXPECT_EQ(device_.status()["last_error"]["code"], "NetworkTimeout");
  EXPECT_TRUE(wait_until([&] { return device_.status()["generation"] == 1; })) << device_.bus().log();
}

TEST_F(ADeviceOnACable, IsNotKnockedAtForEachChangeOfANetworkThatLeadsNowhere) {
  device_.write_profile("gateway", "[retry]\nminimum = \"1h\"\nmaximum = \"6h\"\n");
  device_.stop_server();
  ASSERT_EQ(device_.ctl({"run-due"}).status, 1);
  for (int i = 0; i < 10; ++i) {
    cable_.unplug();
    std::this_thread::sleep_for(300ms);
    cable_.plug();
    std::this_thread::sleep_for(700ms);
  }
  std::this_thread::sleep_for(5s);
  EXPECT_EQ(device_.status()["attempts"], 2) << "one more than at first, in a quarter of a minute of changes\n"
                                             << device_.bus().log();
}

TEST_F(ADeviceOnACable, DoesNotKeepDeviddWhereSomethingElseWasWrong) {
  device_.server().misbehave(EstOperation::simpleenroll, {.status = 500});
  ASSERT_EQ(device_.ctl({"run-due"}).status, 1);
  EXPECT_TRUE(wait_until([&] { return device_.bus().owner() == 0; })) << device_.bus().log();
}

}  // namespace
}  // namespace devid::test
