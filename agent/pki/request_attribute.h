#pragma once

#include <string>
#include <vector>

#include "base/bytes.h"

namespace devid::pki {

/// One attribute of a certification request (RFC 2986 4.1).
struct RequestAttribute {
  std::string oid;            ///< dotted
  std::vector<Bytes> values;  ///< DER, one each
  bool operator==(const RequestAttribute&) const = default;
};

}  // namespace devid::pki
