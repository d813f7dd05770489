#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace devid {

/// A PIN, password or authorization value. Move-only, wiped when it goes, kept out of core dumps by nobody but the
/// service's own limits, and impossible to print: there is no conversion to a string.
class Secret {
 public:
  Secret() = default;
  /// Copies `value`; the caller still owns, and has to wipe, where it came from.
  explicit Secret(BytesView value);
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;
  Secret(Secret&& other) noexcept;
  Secret& operator=(Secret&& other) noexcept;
  ~Secret();

  [[nodiscard]] bool empty() const { return value_.empty(); }
  [[nodiscard]] std::size_t size() const { return value_.size(); }
  /// For handing the value to a library, in the same statement. Never store it.
  [[nodiscard]] BytesView reveal() const { return value_; }

 private:
  void wipe() noexcept;
  Bytes value_;
};

/// Overwrites memory in a way that the compiler keeps.
void wipe(std::span<std::byte> memory) noexcept;

}  // namespace devid
