#include "base/wiped_text.h"

#include <gtest/gtest.h>
#include <sys/random.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/wiping_heap.h"
#include "tests/support/copies_in_memory.h"

namespace devid {
namespace {

using Random = std::array<char, 64>;

/// Octets that nobody has seen, and no copy of them anywhere but on the stack.
Random random_octets() {
  Random octets{};
  EXPECT_EQ(::getrandom(octets.data(), octets.size(), 0), static_cast<ssize_t>(octets.size()));
  return octets;
}

TEST(AWipedText, LeavesNothingBehindWhereverItGrowsAndEnds) {
  Random octets = random_octets();
  const std::string trace = test::trace_of(std::as_bytes(std::span(octets)));
  {
    WipedText text(octets.data(), octets.size());
    EXPECT_EQ(test::copies_in_memory(trace), 1U) << "it is found while it is there";
    for (int i = 0; i < 1000; ++i) text.append(100, 'x');
    EXPECT_EQ(test::copies_in_memory(trace), 1U);
    const WipedText moved = std::move(text);
    EXPECT_EQ(moved.size(), 100'064U);
    EXPECT_EQ(test::copies_in_memory(trace), 1U);
    std::string plain(octets.data(), octets.size());
    EXPECT_EQ(test::copies_in_memory(trace), 2U);
    wipe(std::as_writable_bytes(std::span(plain)));
  }
  EXPECT_EQ(test::copies_in_memory(trace), 0U);
  wipe(std::as_writable_bytes(std::span(octets)));
}

TEST(AWipingHeap, LeavesNothingBehindWhereverMemoryGrowsAndEnds) {
  Random octets = random_octets();
  const std::string trace = test::trace_of(std::as_bytes(std::span(octets)));
  void* memory = wiping_heap::reallocate(nullptr, octets.size());
  ASSERT_NE(memory, nullptr);
  std::ranges::copy(octets, static_cast<char*>(memory));
  EXPECT_EQ(test::copies_in_memory(trace), 1U);
  for (const std::size_t size : {100U, 10'000U, 1'000'000U, 64U}) {
    memory = wiping_heap::reallocate(memory, size);
    ASSERT_NE(memory, nullptr);
    EXPECT_TRUE(std::equal(octets.begin(), octets.end(), static_cast<const char*>(memory)));
    EXPECT_EQ(test::copies_in_memory(trace), 1U) << size;
  }
  EXPECT_EQ(wiping_heap::reallocate(memory, 0), nullptr);
  wiping_heap::release(nullptr);
  EXPECT_EQ(test::copies_in_memory(trace), 0U);
  wipe(std::as_writable_bytes(std::span(octets)));
}

}  // namespace
}  // namespace devid
