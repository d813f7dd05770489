#include "dbus/event_loop.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <functional>
#include <string>
#include <thread>
#include <vector>

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

TEST_F(AnEventLoop, RunsWhatIsForLaterInTheOrderOfItsTime) {
  std::vector<int> order;
  const auto begin = std::chrono::steady_clock::now();
  loop_.after(200ms, [&] {
    order.push_back(2);
    loop_.after(0ms, [&] { loop_.quit(); });
  });
  loop_.after(100ms, [&] { order.push_back(1); });
  loop_.after(1h, [&] { order.push_back(3); });
  EXPECT_EQ(loop_.run(*connection_), EventLoop::End::quit);
  EXPECT_EQ(order, (std::vector{1, 2}));
  EXPECT_GE(std::chrono::steady_clock::now() - begin, 200ms);
  loop_.after(0ms, [&] { order.push_back(4); });
  loop_.discard_posted();
  EXPECT_EQ(loop_.run(*connection_, 1s), EventLoop::End::idle);
  EXPECT_EQ(order.size(), 2U) << "dropped";
}

TEST_F(AnEventLoop, ReadsWhatItWatchesUntilItIsToldNotTo) {
  std::array<int, 2> ends{};
  ASSERT_EQ(::pipe(ends.data()), 0);
  std::string got;
  loop_.watch(ends[0], [&] {
    char byte = 0;
    ASSERT_EQ(::read(ends[0], &byte, 1), 1);
    got += byte;
    if (byte == 'b') loop_.unwatch(ends[0]);
  });
  ASSERT_EQ(::write(ends[1], "abc", 3), 3);
  EXPECT_EQ(loop_.run(*connection_, 1s), EventLoop::End::idle) << "what is watched does not keep the loop from ending";
  EXPECT_EQ(got, "ab");
  for (const int end : ends) ::close(end);
}

TEST_F(AnEventLoop, EndsForIdlenessWhileTimersAndDescriptorsAreBusy) {
  std::function<void()> again = [&] { loop_.after(50ms, again); };
  again();
  EXPECT_EQ(loop_.run(*connection_, 1s), EventLoop::End::idle);
}

}  // namespace
}  // namespace devid
