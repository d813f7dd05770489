#pragma once

#include <string>
#include <string_view>

#include "base/bytes.h"
#include "tests/support/est_misbehaviour.h"

namespace devid::test {

/// What the server means to answer, before a misbehaviour changes it.
struct Reply {
  unsigned status = 200;
  std::string media_type;
  Bytes content;               ///< DER, sent in base64
  std::string text;            ///< instead of it, sent as it is
  std::string challenge = {};  ///< the value of WWW-Authenticate, none if empty
};

/// Base64 in lines of 64 characters, and back; whatever is no base64 gives nothing.
std::string to_base64(BytesView bytes);
Bytes from_base64(std::string_view text);

/// The bytes of the answer on the wire.
std::string answer_bytes(const Reply& reply, const Misbehaviour& misbehaviour);

}  // namespace devid::test
