#pragma once

#include "base/bytes.h"
#include "tokens/key.h"

namespace devid::test {

/// Whether a signature as PrivateKey::sign() returns it verifies, and has the length that it must have. Asks OpenSSL
/// directly, not devid's own verify().
bool verifies(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature);

/// A digest of the right length that nobody computed.
Bytes a_digest(Digest digest, unsigned char first = 0xa5);

}  // namespace devid::test
