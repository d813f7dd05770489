#pragma once

#include <string>

namespace devid::test {

/// A PKCS#10 request, DER, in the words of `openssl req -text`, with names as in RFC 2253. Throws std::runtime_error
/// unless openssl has verified its signature.
std::string verified_request_text(const std::string& der);

}  // namespace devid::test
