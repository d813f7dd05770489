#pragma once

#include <cstddef>
#include <span>

#include "base/bytes.h"
#include "base/secret.h"

namespace devid::pki {

/// Memory of a fixed size for octets that are secret while they are worked on. It is wiped when it goes, and never
/// moves or grows, so that no copy stays behind.
class WipedBuffer {
 public:
  explicit WipedBuffer(std::size_t size) : memory_(size) {}
  WipedBuffer(const WipedBuffer&) = delete;
  WipedBuffer& operator=(const WipedBuffer&) = delete;
  WipedBuffer(WipedBuffer&&) = delete;
  WipedBuffer& operator=(WipedBuffer&&) = delete;
  ~WipedBuffer() { wipe(memory_); }

  [[nodiscard]] std::span<std::byte> memory() { return memory_; }

 private:
  Bytes memory_;
};

}  // namespace devid::pki
