#pragma once

#include <openssl/core.h>

#include "tokens/openssl/shared_key.h"

namespace devid::provider {

/// The key types EC and RSA. Such a key has its public part in the default provider, where every question about it is
/// answered; the private part is a PrivateKey and cannot be exported.
const OSSL_ALGORITHM* keymgmt_algorithms();

/// The one parameter that makes a key (EVP_PKEY_fromdata): an octet pointer to a SharedKey, of which the key takes a
/// reference of its own.
inline constexpr const char* shared_key_parameter = "devid-shared-key";

/// The SharedKey of OpenSSL's key data; null if nothing was imported.
SharedKey* shared_key_of(void* keydata);

}  // namespace devid::provider
