#include "agent/pki/facts.h"

#include <array>
#include <utility>

#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

/// Of Hotspot 2.0 (Wi-Fi Alliance, 7.3.3), but for the first.
constexpr std::array<std::pair<std::string_view, const char*>, 4> names{{{"macAddress", mac_address_oid},
                                                                         {"imei", "1.3.6.1.4.1.40808.1.1.3"},
                                                                         {"meid", "1.3.6.1.4.1.40808.1.1.4"},
                                                                         {"deviceId", "1.3.6.1.4.1.40808.1.1.5"}}};

}  // namespace

std::string fact_oid(std::string_view name) {
  for (const auto& [known, oid] : names)
    if (known == name) return oid;
  return dotted(std::string(name)).value_or("");
}

}  // namespace devid::pki
