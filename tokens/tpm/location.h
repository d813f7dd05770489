#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace devid::tpm {

/// The persistent handle in "handle:0x81020000". Error: usage, also for a number outside 0x81000000 to 0x81FFFFFF.
Result<std::uint32_t> parse_handle(std::string_view location);

/// The NV index in "nv:0x01c90200". Error: usage, also for a number outside 0x01000000 to 0x01FFFFFF.
Result<std::uint32_t> parse_nv_index(std::string_view location);

/// "handle:0x81020000"
std::string handle_location(std::uint32_t handle);

/// "nv:0x01c90200"
std::string index_location(std::uint32_t index);

}  // namespace devid::tpm
