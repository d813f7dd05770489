#pragma once

#include <optional>
#include <string>

#include "agent/pki/name.h"
#include "tokens/openssl/signing_key.h"

namespace devid::pki {

/// What goes into a PKCS#10 request (RFC 2986).
struct CsrSpec {
  Names names;
  std::optional<std::string> challenge_password;  ///< PKCS#9 challengePassword: the channel binding of RFC 7030 3.5
};

/// Makes and signs a certification request. Returns DER. The request's own signature has been verified with the public
/// key, in software: a token that signs wrongly is found here. Asks for keyUsage digitalSignature (critical) and
/// extendedKeyUsage clientAuth by an extensionRequest.
/// Errors: those of PrivateKey::sign, config_invalid for names that cannot be encoded.
Result<Bytes> make_csr(SigningKey& key, const CsrSpec& spec);

/// Whether a request of make_csr, DER, asks for exactly these names.
bool asks_for(BytesView csr, const Names& names);

}  // namespace devid::pki
