#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/identity/profile.h"
#include "agent/identity/specifiers.h"
#include "base/result.h"

namespace devid::identity {

/// One file of identities.d.
struct ProfileFile {
  std::filesystem::path file;
  /// Of the identity, also where the rest of the file is wrong; empty if the file gives no usable name.
  std::string name;
  std::string place;  ///< of the name: "file:line:column"
  /// Errors: config_missing, config_syntax, config_invalid; the last two with file:line:column.
  Result<Profile> profile;
  std::vector<Error> complaints;  ///< all that is wrong in the file, the first of which is the profile's error
};

/// What there is to say of a file that cannot be parsed at all.
ProfileFile unusable_file(const std::filesystem::path& file, const Error& error);

/// Parses the text of a profile, as devid.toml(5) describes it. `tokens` are the names of the tokens that there are; if
/// none are known, any will do; `facts` is what specifiers in names and facts stand for. Touches no file.
ProfileFile parse_profile(std::string_view text, const std::filesystem::path& file,
                          const std::vector<std::string>& tokens, const DeviceFacts& facts = {});

}  // namespace devid::identity
