#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::est {

/// Base64 in lines of 64 characters, each ended by CR LF: what every server seen so far reads (RFC 8951 3.1).
std::string encode_body(BytesView der);

/// The octets of a base64 body as servers really send it: white space anywhere, NUL octets at the end, or PEM armour
/// around it. Nothing but white space is nothing. Error: answer_malformed, for anything else.
Result<Bytes> decode_body(std::string_view text);

}  // namespace devid::est
