#pragma once

#include "base/result.h"
#include "tokens/key.h"

namespace devid::pkcs11 {

/// EMSA-PSS (RFC 8017 9.1.1) of a digest for an RSA key: as long as the modulus, MGF1 with the same digest, a random
/// salt as long as the digest. For tokens that only do raw RSA.
Result<Bytes> encode_pss(const PublicKey& key, BytesView digest, Digest algorithm);

}  // namespace devid::pkcs11
