#pragma once

#include <span>
#include <string>
#include <vector>

#include "tests/bench/fleet.h"

namespace devid::test {

/// One diagram: the load of a stretch of time.
struct LoadPanel {
  std::string title;
  std::span<const std::uint32_t> load;  ///< per minute, from the beginning
  Seconds from{};
  Seconds to{};
  bool in_hours = false;  ///< the axis counts hours from `from`, not days from the beginning
};

/// An SVG of all of them, one below the other: the highest and the average minute of each column, the mean and the
/// limits as lines, the outage shaded.
std::string load_picture(const std::vector<LoadPanel>& panels, const FleetOptions& options);

}  // namespace devid::test
