#include "base/secret.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <optional>
#include <type_traits>

// The test program's own allocator, so that memory can be looked at in the moment when it is given back.
namespace {

struct Watch {
  const void* memory = nullptr;
  std::size_t size = 0;
  std::optional<bool> was_wiped;
};
Watch watch;

void look(const void* memory) {
  if (memory == nullptr || memory != watch.memory) return;
  const auto* bytes = static_cast<const unsigned char*>(memory);
  watch.was_wiped = std::all_of(bytes, bytes + watch.size, [](unsigned char byte) { return byte == 0; });
  watch.memory = nullptr;
}

}  // namespace

void* operator new(std::size_t size) {
  void* const memory = std::malloc(size == 0 ? 1 : size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept {
  look(memory);
  std::free(memory);
}
void operator delete(void* memory, std::size_t /*size*/) noexcept {
  look(memory);
  std::free(memory);
}

namespace devid {
namespace {

constexpr std::string_view pin = "correct horse battery staple";

/// Watches the memory of a secret until it is freed.
void watch_memory_of(const Secret& secret) {
  watch = {.memory = secret.reveal().data(), .size = secret.size(), .was_wiped = std::nullopt};
}

TEST(ASecret, RevealsWhatItWasGiven) {
  const Secret secret(as_bytes(pin));
  EXPECT_EQ(as_text(secret.reveal()), pin);
  EXPECT_EQ(secret.size(), pin.size());
  EXPECT_FALSE(secret.empty());
  EXPECT_TRUE(Secret().empty());
}

TEST(ASecret, IsWipedWhenItGoes) {
  {
    const Secret secret(as_bytes(pin));
    watch_memory_of(secret);
  }
  EXPECT_EQ(watch.was_wiped, true);
}

TEST(ASecret, IsMovedAndNotCopied) {
  Secret first(as_bytes(pin));
  const std::byte* const memory = first.reveal().data();
  const Secret second(std::move(first));
  EXPECT_EQ(second.reveal().data(), memory);
  EXPECT_EQ(as_text(second.reveal()), pin);
  EXPECT_TRUE(first.empty());  // NOLINT(bugprone-use-after-move): that is the question
}

TEST(ASecret, IsWipedWhenAnotherTakesItsPlace) {
  Secret secret(as_bytes(pin));
  watch_memory_of(secret);
  Secret other(as_bytes("another secret value"));
  secret = std::move(other);
  EXPECT_EQ(watch.was_wiped, true);
  EXPECT_EQ(as_text(secret.reveal()), "another secret value");
  EXPECT_TRUE(other.empty());  // NOLINT(bugprone-use-after-move): that is the question
}

TEST(ASecret, SurvivesBeingMovedToItself) {
  Secret secret(as_bytes(pin));
  Secret& same = secret;
  secret = std::move(same);
  EXPECT_EQ(as_text(secret.reveal()), pin);
}

TEST(ASecret, CannotBeCopiedOrPrinted) {
  static_assert(!std::is_copy_constructible_v<Secret>);
  static_assert(!std::is_copy_assignable_v<Secret>);
  static_assert(!std::is_convertible_v<Secret, std::string_view>);
  static_assert(!std::is_convertible_v<Secret, BytesView>);
}

TEST(AWipe, LeavesZeros) {
  Bytes memory = to_bytes(as_bytes(pin));
  wipe(memory);
  EXPECT_EQ(memory, Bytes(pin.size()));
  wipe({});
}

}  // namespace
}  // namespace devid
