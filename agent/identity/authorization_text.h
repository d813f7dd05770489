#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "tokens/authorization.h"

namespace devid::identity {

/// "sha256:0,2,7": the bank, and registers from 0 to 23, each once. None for anything else.
std::optional<PcrPolicy> parse_pcr_policy(std::string_view text);

/// How meta.json says what a key asks for: "none", "value", "pcr:sha256:0,2,7".
std::string authorization_text(const KeyAuthorization& authorization);
std::optional<KeyAuthorization> parse_authorization(std::string_view text);

}  // namespace devid::identity
