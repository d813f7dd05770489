#pragma once

#include <filesystem>
#include <string_view>

#include "agent/identity/configuration.h"
#include "base/result.h"

namespace devid::identity {

/// Parses the text of devid.toml, as devid.toml(5) describes it. Errors: config_syntax, config_invalid, with
/// file:line:column.
Result<Configuration> parse_configuration(std::string_view text, const std::filesystem::path& file);

}  // namespace devid::identity
