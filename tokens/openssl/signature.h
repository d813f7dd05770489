#pragma once

#include <openssl/core.h>

namespace devid::provider {

/// The signature algorithms ECDSA and RSA (PKCS#1 v1.5, and PSS with a salt as long as the digest), each for one-shot
/// EVP_DigestSign only: the data is hashed in the default provider, its digest is signed by the token.
const OSSL_ALGORITHM* signature_algorithms();

}  // namespace devid::provider
