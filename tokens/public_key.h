#pragma once

#include "base/openssl.h"
#include "base/result.h"
#include "tokens/key.h"

namespace devid {

/// OpenSSL's name for a digest.
const EVP_MD* message_digest(Digest digest);

/// The public key of an EC point. `x` and `y` are big-endian, at most as long as the field; shorter ones are padded.
/// Error: token_wrong_key if the point is not on the curve.
Result<PublicKey> ec_public_key(KeyAlgorithm algorithm, BytesView x, BytesView y);

/// The public key of an RSA modulus, big-endian, with the given public exponent. The algorithm follows from the length.
/// Error: token_unsupported for a length that devid does not use.
Result<PublicKey> rsa_public_key(BytesView modulus, unsigned long exponent);

/// The public key that an EVP_PKEY or certificate holds. Error: token_unsupported for another algorithm than ours.
Result<PublicKey> public_key_of(EVP_PKEY* key);

/// The other way: a key for verifying, in OpenSSL's default provider.
Result<Pkey> to_evp_public(const PublicKey& key);

/// Checks a signature as PrivateKey::sign returns it (raw r‖s for EC) over a digest.
/// Error: token_wrong_key if it does not verify.
Result<> verify(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature);

/// Raw r‖s to the DER that X.509 and TLS carry (RFC 3279 2.2.3), and back, each half padded to `half` bytes.
/// Error: token_failed if it is not of that form.
Result<Bytes> ecdsa_to_der(BytesView raw);
Result<Bytes> ecdsa_from_der(BytesView der, std::size_t half);

}  // namespace devid
