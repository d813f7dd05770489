#pragma once

#include <openssl/types.h>

#include "base/result.h"

namespace devid::provider {

/// Selects devid's provider, and OpenSSL's own, where the private context is asked for an algorithm.
inline constexpr const char* our_property = "provider=devid";
inline constexpr const char* default_property = "provider=default";

/// The private context of this process, with the providers `default` and `devid` loaded, made at the first call. It is
/// never freed: OpenSSL may hold a key of it, in some SSL_CTX, to the end of the process.
Result<OSSL_LIB_CTX*> private_context();

}  // namespace devid::provider
