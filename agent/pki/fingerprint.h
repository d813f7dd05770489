#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace devid::pki {

/// A SHA-256 fingerprint as a person copies it, with colons, blanks and capitals or without, in the form that
/// Certificate::fingerprint() has. Error: usage, also for one that is not there in full: a part of it can be forged.
Result<std::string> parse_fingerprint(std::string_view text);

}  // namespace devid::pki
