#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::est {

/// Base64 in lines of 64 characters, each ended by CR LF: what every server seen so far reads (RFC 8951 3.1).
std::string encode_body(BytesView der);

/// How many octets encode_body makes of so many.
std::size_t encoded_size(std::size_t bytes);

/// The octets of a base64 body as servers really send it: white space anywhere, NUL octets at the end, or PEM armour
/// around it. Nothing but white space is nothing. What it works with is wiped: the octets may be a key, and are then
/// the caller's to wipe. Error: answer_malformed, for anything else.
Result<Bytes> decode_body(std::string_view text);

}  // namespace devid::est
