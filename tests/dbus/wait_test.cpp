#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <future>

#include "tests/dbus/device.h"
#include "tests/dbus/wait_until.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class AWaitForACredential : public ::testing::Test {
 protected:
  [[nodiscard]] std::future<Outcome> wait_beside(const std::vector<std::string>& arguments = {"wait",
                                                                                              "gateway"}) const {
    return std::async(std::launch::async, [this, arguments] { return device_.ctl(arguments); });
  }

  Device device_;
};

TEST_F(AWaitForACredential, EndsWithTheEnrollmentWhicheverDeviddMakesIt) {
  auto waiting = wait_beside();
  ASSERT_TRUE(wait_until([&] { return device_.bus().owner() != 0; }));
  EXPECT_EQ(waiting.wait_for(1s), std::future_status::timeout) << "there is none yet";
  device_.bus().kill_owner(SIGTERM);
  EXPECT_EQ(waiting.wait_for(500ms), std::future_status::timeout) << "another devidd may obtain it";
  ASSERT_EQ(device_.ctl({"run-due"}).status, 0) << device_.bus().log();
  ASSERT_EQ(waiting.wait_for(30s), std::future_status::ready);
  EXPECT_EQ(waiting.get().status, 0);
  EXPECT_EQ(device_.ctl({"wait", "gateway"}).status, 0) << "it is there already";
}

TEST_F(AWaitForACredential, GoesOnWhileAttemptsFailAndSaysWhyAtTheEndOfItsTime) {
  device_.stop_server();
  auto waiting = wait_beside({"wait", "--timeout", "3", "gateway"});
  EXPECT_EQ(device_.ctl({"run-due"}).status, 1);
  ASSERT_EQ(waiting.wait_for(30s), std::future_status::ready);
  const Outcome outcome = waiting.get();
  EXPECT_EQ(outcome.status, 5);
  EXPECT_THAT(outcome.errors, HasSubstr("gateway has no valid credential yet"));
  EXPECT_THAT(outcome.errors, HasSubstr("the last enrollment failed"));
}

TEST_F(AWaitForACredential, IsOverAtOnceForANameThatNobodyHas) {
  EXPECT_EQ(device_.ctl({"wait", "nobody"}).status, 3);
  EXPECT_EQ(device_.ctl({"wait"}).status, 2);
  EXPECT_EQ(device_.ctl({"wait", "--timeout", "0", "gateway"}).status, 2);
}

}  // namespace
}  // namespace devid::test
