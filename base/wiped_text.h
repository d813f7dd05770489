#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "base/secret.h"

namespace devid {

/// Overwrites memory before it gives it back.
template <class T>
struct WipingAllocator {
  using value_type = T;

  WipingAllocator() = default;
  template <class Other>
  explicit WipingAllocator(const WipingAllocator<Other>& /*other*/) noexcept {}

  T* allocate(std::size_t count) { return std::allocator<T>().allocate(count); }
  void deallocate(T* memory, std::size_t count) noexcept {
    wipe(std::as_writable_bytes(std::span(memory, count)));
    std::allocator<T>().deallocate(memory, count);
  }
  bool operator==(const WipingAllocator& /*other*/) const = default;
};

/// Text that may hold a secret, of more than a few characters: those of up to 15 are in the object itself. However it
/// grows, and wherever it ends, nothing of it stays in memory that was given back.
using WipedText = std::basic_string<char, std::char_traits<char>, WipingAllocator<char>>;

}  // namespace devid
