#pragma once

#include <vector>

#include "agent/identity/consumers.h"
#include "agent/identity/table_parser.h"

namespace devid::identity {

/// Parses after_rotation of a profile: strings "VERB UNIT". What is wrong becomes a complaint, each where it is.
std::vector<UnitAction> parse_after_rotation(TableParser& top, Complaints& complaints);

}  // namespace devid::identity
