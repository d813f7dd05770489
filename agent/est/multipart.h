#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/est/media_type.h"
#include "base/result.h"

namespace devid::est {

/// One part of a multipart body (RFC 2046 5.1), not decoded.
struct Part {
  MediaType type;                                           ///< application/octet-stream if the part has none
  std::map<std::string, std::string, std::less<>> headers;  ///< names in lower case, values unfolded
  std::string_view body;                                    ///< in the body that was given
};

/// Whether a body ends with the last boundary of its media type, on a line of its own, and white space or NUL octets.
/// Looks at a few octets at the end, however long it is.
bool ends_with_last_boundary(std::string_view body, const MediaType& type);

/// Takes a multipart body apart, as a tolerant reader: lines end in CR LF or LF, a preamble and an epilogue are passed
/// over, header lines may be folded, NUL octets may follow. At most 8 parts, 64 header lines each. Error:
/// answer_malformed, for a boundary that is missing, longer than 70 characters or not found, and a last one that is not
/// there.
Result<std::vector<Part>> split_multipart(std::string_view body, const MediaType& type);

}  // namespace devid::est
