#pragma once

#include <string>
#include <string_view>

namespace devid::pki {

/// Attributes that tell something of a device, by their object identifiers.
inline constexpr const char* serial_number_oid = "2.5.4.5";
inline constexpr const char* mac_address_oid = "1.3.6.1.1.1.1.22";  ///< RFC 2307 2.3; RFC 7030 4.5.2 asks for it

/// The dotted object identifier of an attribute by its name: "serialNumber" and what else OpenSSL knows, "macAddress",
/// the device attributes of Hotspot 2.0 ("imei", "meid", "deviceId"), or the identifier itself. Empty for what is none.
std::string fact_oid(std::string_view name);

}  // namespace devid::pki
