#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <iostream>
#include <random>
#include <thread>

#include "tests/dbus/device.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;

/// How long one renewal takes here and now: the moments of the kills are spread over that time.
std::chrono::microseconds duration_of_a_renewal(const Device& device) {
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(device.ctl({"renew", "gateway"}).status, 0) << device.bus().log();
  return std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - begin);
}

TEST(ADeviceWhoseDaemonIsKilledAtRandomMoments, AlwaysHasACurrentKeyCertificateAndChainThatMatch) {
  constexpr int renewals = 50;
  Device device({.use_tap = false});
  ASSERT_EQ(device.ctl({"enroll", "gateway"}).status, 0) << device.bus().log();
  const auto usual = duration_of_a_renewal(device);
  const auto seed = std::random_device{}();
  std::cout << "seed " << seed << "\n";
  std::mt19937 random(seed);
  std::uniform_int_distribution<std::int64_t> moment(0, usual.count() * 12 / 10);
  int killed = 0;
  for (int i = 0; i < renewals; ++i) {
    std::atomic<bool> ended = false;
    std::thread renewal([&] {
      static_cast<void>(device.ctl({"renew", "gateway"}));
      ended = true;
    });
    std::this_thread::sleep_for(std::chrono::microseconds(moment(random)));
    if (!ended) ++killed;
    device.bus().kill_owner(SIGKILL);
    renewal.join();
    ASSERT_EQ(flaw_of_current(device.current(), device.operator_root()), "") << "renewal " << i;
    // Seldom: it also clears the slots of the TPM, which devidd has to manage by itself otherwise.
    if (i % 10 == 9) {
      ASSERT_EQ(flaw_of_key(device.current(), device.swtpm().tcti()), "") << "renewal " << i;
    }
  }
  std::cout << renewals << " renewals, " << killed << " of them killed in the middle\n";
  EXPECT_GT(killed, renewals / 4) << "too few kills came in the middle to mean anything";
  EXPECT_EQ(device.ctl({"renew", "gateway"}).status, 0) << "it works as before: " << device.bus().log();
  EXPECT_EQ(device.status()["state"], "valid");
  EXPECT_FALSE(std::filesystem::exists(device.state() / "gateway" / "request")) << "nothing is left over";
}

}  // namespace
}  // namespace devid::test
