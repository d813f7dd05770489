#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace devid::pkcs11 {

/// "-----BEGIN PKCS#11 PROVIDER URI-----", as pkcs11-provider writes and reads it: the DER of
/// SEQUENCE { VisibleString "PKCS#11 Provider URI v1.0", UTF8String uri }.
Result<std::string> write_uri_pem(std::string_view uri);

/// Reads what write_uri_pem() or pkcs11-provider's uri2pem wrote. Strict: one PEM block and nothing else, DER without
/// anything after it. Error: token_wrong_key, with what is wrong as the reason.
Result<std::string> read_uri_pem(std::string_view pem);

}  // namespace devid::pkcs11
