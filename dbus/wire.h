#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"

/// The names of the D-Bus API, and how our values and errors look on the wire.
namespace devid::wire {

inline constexpr const char* bus_name = "org.devid1";
inline constexpr const char* root_path = "/org/devid1";
inline constexpr const char* manager_interface = "org.devid1.Manager";
inline constexpr const char* identity_interface = "org.devid1.Identity";
inline constexpr const char* job_interface = "org.devid1.Job";
inline constexpr std::string_view error_prefix = "org.devid1.Error.";

using Dictionary = std::map<std::string, sdbus::Variant>;

/// "/org/devid1/identity/gateway". Characters that a path cannot hold are escaped as sd_bus_path_encode(3) does.
sdbus::ObjectPath identity_path(const std::string& name);
sdbus::ObjectPath job_path(std::uint64_t number);

/// The text of an error as it goes over the bus: the sentence, then a line "hint: …" where there is advice.
std::string text_of(const Error& error);

/// `org.devid1.Error.CODE` with text_of().
sdbus::Error to_dbus(const Error& error);

/// The other way, for clients. An error that is not ours keeps its D-Bus name as `reason`.
Error from_dbus(const sdbus::Error& error);

}  // namespace devid::wire
