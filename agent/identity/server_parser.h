#pragma once

#include "agent/identity/server.h"
#include "agent/identity/table_parser.h"

namespace devid::identity {

/// The table [server] of a profile, with those below it: devid.toml(5). What is wrong becomes a complaint.
Server parse_server(TableParser table);

/// "off", "soft" or "hard" at `key` of a table called `name`; the default if it is not there.
pki::RevocationPolicy parse_revocation(TableParser& table, std::string_view name, pki::RevocationPolicy otherwise);

}  // namespace devid::identity
