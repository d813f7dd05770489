#pragma once

#include <string>

#include "agent/identity/key_settings.h"
#include "agent/identity/table_parser.h"

namespace devid::identity {

/// The table [key] of a profile whose keys are in `token`: devid.toml(5). What is wrong becomes a complaint.
KeySettings parse_key(TableParser table, const std::string& token);

}  // namespace devid::identity
