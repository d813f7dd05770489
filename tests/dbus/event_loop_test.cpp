#include "dbus/event_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <thread>

#include "tests/support/private_bus.h"

namespace devid {
namespace {

using namespace std::chrono_literals;

class AnEventLoop : public ::testing::Test {
 protected:
  test::PrivateBus bus_{{"/bin/false"}};
  EventLoop loop_;
  std::unique_ptr<sdbus::IConnection> connection_ = sdbus::createSessionBusConnectionWithAddress(bus_.address());
};

TEST_F(AnEventLoop, RunsWhatOtherThreadsPostInTheirOrder) {
  std::vector<int> order;
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) loop_.post([&order, i] { order.push_back(i); });
    loop_.post([&] { loop_.quit(); });
  });
  EXPECT_EQ(loop_.run(*connection_), EventLoop::End::quit);
  other.join();
  ASSERT_EQ(order.size(), 100U);
  EXPECT_TRUE(std::ranges::is_sorted(order));
}

TEST_F(AnEventLoop, EndsWhenNothingHappensForTheIdleTime) {
  EXPECT_EQ(loop_.run(*connection_, 1s), EventLoop::End::idle);
}

TEST_F(AnEventLoop, DoesNotEndForIdlenessWhileSomethingIsGoingOn) {
  bool resting = false;
  const auto begin = std::chrono::steady_clock::now();
  std::thread other([&] {
    std::this_thread::sleep_for(1500ms);
    loop_.post([&] { resting = true; });
  });
  EXPECT_EQ(loop_.run(*connection_, 1s, [&] { return resting; }), EventLoop::End::idle);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 2500ms);
  other.join();
}

TEST_F(AnEventLoop, EndsBySignalAndTakesHangupForATask) {
  bool reloaded = false;
  loop_.on_hangup([&] { reloaded = true; });
  loop_.post([] { ::kill(::getpid(), SIGHUP); });
  std::thread other([&] {
    for (int i = 0; i < 100; ++i) std::this_thread::sleep_for(1ms);
    ::kill(::getpid(), SIGTERM);
  });
  EXPECT_EQ(loop_.run(*connection_), EventLoop::End::signal);
  EXPECT_TRUE(reloaded);
  other.join();
}

}  // namespace
}  // namespace devid
