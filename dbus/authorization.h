#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <string_view>

#include "base/result.h"

namespace devid {

/// Who called, as the bus vouches for it.
struct Caller {
  std::string name;  ///< ":1.23"
  uid_t uid = 0;
  pid_t pid = 0;
};

/// May the sender of this message change anything? Only uid 0 and the user that devidd runs as may; the bus policy
/// allows the latter no more than RunDue. `action` is a word for the log: "enroll", "run-due". Every refusal is logged
/// with who and what. Error: not_authorized, also if the bus does not say who it is.
Result<Caller> authorize(const sdbus::Message* message, std::string_view action);

}  // namespace devid
