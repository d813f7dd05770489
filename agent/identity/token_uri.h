#pragma once

#include <string_view>

#include "base/result.h"

namespace devid::identity {

/// Whether a profile names a token, or a place in one, by its PKCS#11 URI.
bool is_token_uri(std::string_view text);

/// Looks at the form of a PKCS#11 URI (RFC 7512 2.3): attributes with a name and a value, in the characters that a URI
/// may have. What they mean is the token's to find out. The message does not repeat the URI. Error: config_invalid.
Result<> check_token_uri(std::string_view uri);

}  // namespace devid::identity
