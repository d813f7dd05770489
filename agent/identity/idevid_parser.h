#pragma once

#include <string>
#include <vector>

#include "agent/identity/profile.h"
#include "agent/identity/table_parser.h"

namespace devid::identity {

/// Takes a token's name, or the URI of one, out of a table. What is neither of `tokens`, unless none are known, nor
/// a URI is complained about.
std::optional<std::string> parse_token_name(TableParser& table, std::string_view key,
                                            const std::vector<std::string>& tokens);

/// Parses `idevid` of a profile: a string with a place in a token, or a table.
IdevidLocation parse_idevid(TableParser& top, const std::vector<std::string>& tokens);

}  // namespace devid::identity
