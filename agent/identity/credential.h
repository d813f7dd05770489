#pragma once

#include <memory>
#include <vector>

#include "agent/identity/generation.h"
#include "agent/identity/profile.h"
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

/// Opens the device's IDevID, and checks that the certificate is for the key. What the token's NV holds may be PEM, or
/// DER with padding after it. Errors: idevid_missing, idevid_mismatch, and those of the token.
Result<Credential> open_idevid(Token& token, const IdevidLocation& location);

/// Opens the key of a generation. Errors: those of Token::open_key.
Result<Credential> open_ldevid(Token& token, const Generation& generation);

/// Proves that a key, opened by what was written down of it, signs for a certificate: signs a random digest, and
/// verifies it with the certificate's public key. Errors: token_wrong_key, and those of the token.
Result<> prove_possession(Token& token, std::string_view token_key_pem, const pki::Certificate& certificate);

}  // namespace devid::identity
