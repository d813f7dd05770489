#pragma once

#include <chrono>
#include <thread>

namespace devid::test {

/// Waits for a condition, 60 s at most.
template <class Condition>
bool wait_until(Condition&& condition) {
  for (int i = 0; i < 1200; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  return false;
}

}  // namespace devid::test
