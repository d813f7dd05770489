#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/dbus/device.h"
#include "tests/dbus/wait_until.h"
#include "tests/support/shifted_clock.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class ADeviceWhoseClockIsSet : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  ShiftedClock clock_{directory_.path()};
  Device device_{{.environment = clock_.environment()}};
};

TEST_F(ADeviceWhoseClockIsSet, DoesAtOnceWhatIsDueByTheNewTime) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  clock_.set(1h);
  std::this_thread::sleep_for(1s);
  EXPECT_EQ(device_.status()["generation"], 1) << "nothing is due an hour after the enrollment for a day";
  clock_.set(20h);
  ASSERT_TRUE(wait_until([&] { return device_.status()["generation"] == 2; })) << device_.bus().log();
  EXPECT_THAT(device_.bus().log(), HasSubstr("the clock was set"));
}

TEST_F(ADeviceWhoseClockIsSet, SaysAtOnceThatItWaitsForATimeThatCanBe) {
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  clock_.set(-24h * 10000);
  EXPECT_TRUE(wait_until([&] { return device_.status()["state"] == "waiting-for-clock"; })) << device_.bus().log();
  clock_.set(0s);
  EXPECT_TRUE(wait_until([&] { return device_.status()["state"] == "valid"; })) << device_.bus().log();
  EXPECT_EQ(device_.status()["generation"], 1);
}

}  // namespace
}  // namespace devid::test
