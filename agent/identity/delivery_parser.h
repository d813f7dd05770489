#pragma once

#include "agent/identity/delivery.h"
#include "agent/identity/table_parser.h"

namespace devid::identity {

/// Parses [files] and [copies] of a profile. What is wrong becomes a complaint.
FileSettings parse_files(TableParser table);
Copies parse_copies(TableParser table);

}  // namespace devid::identity
