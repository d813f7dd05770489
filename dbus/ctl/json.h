#pragma once

#include <nlohmann/json.hpp>

#include "dbus/ctl/client.h"

namespace devid::ctl {

/// A D-Bus name in snake_case: "NotAfter" is "not_after".
std::string snake_case(const std::string& name);

/// Properties or a dictionary as a JSON object, each name in snake_case. An error (ss) is {"code": …, "text": …}, or
/// null where there is none. Times stay seconds since the epoch, 0 = never.
nlohmann::ordered_json to_json(const Properties& properties);

/// Prints to standard output, indented. Text that is not UTF-8 is replaced, never passed on.
void print(const nlohmann::ordered_json& json);

}  // namespace devid::ctl
