#pragma once

#include "agent/identity/renewal.h"
#include "agent/identity/table_parser.h"

namespace devid::identity {

/// [renewal] of a profile. What is wrong becomes a complaint, and counts as not there.
RenewalPolicy parse_renewal(TableParser table);

}  // namespace devid::identity
