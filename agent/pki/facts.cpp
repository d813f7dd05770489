#include "agent/pki/facts.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include <array>
#include <utility>

#include "base/owned.h"

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
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(std::string(name).c_str(), 0));
  ERR_clear_error();
  std::array<char, 128> text{};
  const int size = object ? OBJ_obj2txt(text.data(), static_cast<int>(text.size()), object.get(), 1) : 0;
  return size > 0 && static_cast<std::size_t>(size) < text.size() ? std::string(text.data()) : std::string();
}

}  // namespace devid::pki
