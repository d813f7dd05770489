#pragma once

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace devid::pki {

/// The one private key in a PrivateKeyInfo (RFC 5208), a OneAsymmetricKey or an AsymmetricKeyPackage (RFC 5958), or
/// that is an RSAPrivateKey of two primes (RFC 8017 A.1.2), as libest sends it for a PrivateKeyInfo; DER, 16 KiB at
/// most: as a PrivateKeyInfo of version 0 without attributes. What OpenSSL makes of it in between is wiped. Error:
/// answer_malformed, also for trailing bytes and for a package of several keys.
Result<Secret> read_key_package(BytesView der);

}  // namespace devid::pki
