#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/identity/configuration.h"
#include "base/result.h"

namespace devid::identity {

/// Parses the text of devid.toml, as devid.toml(5) describes it. Errors: config_syntax, config_invalid, with
/// file:line:column.
Result<Configuration> parse_configuration(std::string_view text, const std::filesystem::path& file);

/// The tokens that a configuration knows by name: "tpm", then those of PKCS#11.
std::vector<std::string> token_names(const Configuration& configuration);

}  // namespace devid::identity
