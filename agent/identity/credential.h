#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "agent/identity/generation.h"
#include "agent/pki/certificate.h"
#include "base/result.h"
#include "tokens/token.h"

namespace devid::identity {

/// Whom the device is towards the EST server: a key in a token, opened, and the certificate for it.
struct Credential {
  std::unique_ptr<PrivateKey> key;  ///< must not outlive its token
  pki::Certificate certificate;
  std::vector<pki::Certificate> chain;  ///< intermediates, as far as known
};

/// Opens the key of a generation. Errors: those of Token::open_key.
Result<Credential> open_ldevid(Token& token, const Generation& generation);

/// Proves that a key signs for a certificate: signs a random digest, and verifies it with the certificate's public key.
/// Errors: token_wrong_key, and those of the token.
Result<> prove_possession(PrivateKey& key, const pki::Certificate& certificate);

/// The same for a key that is opened by what was written down of it.
Result<> prove_possession(Token& token, std::string_view token_key_pem, const pki::Certificate& certificate);

}  // namespace devid::identity
