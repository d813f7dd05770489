#pragma once

#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

namespace devid {

/// Octets that are no secret: DER, digests, signatures.
using Bytes = std::vector<std::byte>;
using BytesView = std::span<const std::byte>;

inline BytesView as_bytes(std::string_view text) { return std::as_bytes(std::span(text.data(), text.size())); }

inline std::string_view as_text(BytesView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()),
          bytes.size()};  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
}

/// The pointer that C libraries want for octets.
inline const unsigned char* as_uchar(BytesView bytes) {
  return reinterpret_cast<const unsigned char*>(bytes.data());  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
}

inline unsigned char* as_uchar(std::span<std::byte> bytes) {
  return reinterpret_cast<unsigned char*>(bytes.data());  // NOLINT(cppcoreguidelines-pro-type-reinterpret-cast)
}

inline Bytes to_bytes(BytesView view) { return {view.begin(), view.end()}; }

inline Bytes to_bytes(const unsigned char* data, std::size_t size) {
  return to_bytes(std::as_bytes(std::span(data, size)));
}

}  // namespace devid
