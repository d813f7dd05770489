#pragma once

#include <string>
#include <vector>

#include "agent/identity/configuration.h"
#include "agent/identity/profile_parser.h"
#include "base/result.h"

namespace devid::identity {

/// Reads devid.toml; none there is the default of everything. Errors: config_missing if it is there and cannot be read,
/// and those of parse_configuration.
Result<Configuration> read_configuration(const Paths& paths);

/// Reads every NAME.toml of identities.d, by file name. One under `paths.configuration` wins over one of the same name
/// under `paths.vendor_configuration`; a link to /dev/null only hides the other. No such directory means no identities.
/// Of two files that give the same name, the second has no name and an error that tells of both.
/// Error: config_missing if a directory is there and cannot be read.
Result<std::vector<ProfileFile>> read_profiles(const Paths& paths, const std::vector<std::string>& tokens);

}  // namespace devid::identity
