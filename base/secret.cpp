#include "base/secret.h"

#include <cstring>
#include <utility>

namespace devid {

void wipe(std::span<std::byte> memory) noexcept {
  if (!memory.empty()) explicit_bzero(memory.data(), memory.size());
}

Secret::Secret(BytesView value) : value_(value.begin(), value.end()) {}

Secret::Secret(Secret&& other) noexcept : value_(std::exchange(other.value_, {})) {}

Secret& Secret::operator=(Secret&& other) noexcept {
  if (this != &other) {
    wipe();
    value_ = std::exchange(other.value_, {});
  }
  return *this;
}

Secret::~Secret() { wipe(); }

void Secret::wipe() noexcept { devid::wipe(value_); }

}  // namespace devid
