#pragma once

#include <vector>

#include "agent/pki/certificate.h"
#include "tokens/openssl/signing_key.h"

namespace devid::est {

/// Whom the client is: a certificate, its intermediates, and the key in the token.
struct ClientCredential {
  pki::Certificate certificate;
  std::vector<pki::Certificate> chain;
  SigningKey* key;  ///< borrowed, outlives the session
};

}  // namespace devid::est
