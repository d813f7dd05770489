#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "tests/support/est_issuer.h"

namespace devid::test {

/// Whom the EST server for tests can encrypt a private key for: who names this identifier in a request.
struct KeygenRecipient {
  Bytes identifier;                   ///< of DecryptKeyIdentifier or AsymmetricDecryptKeyIdentifier
  Bytes secret;                       ///< a shared AES key; or
  std::filesystem::path certificate;  ///< PEM
};

/// A key of the same kind as that of the request.
Pkey key_like(X509_REQ* request);

/// An RSA-2048 key.
Pkey any_rsa_key();

/// The same request without its attributes. Its signature does not hold any more.
Request without_attributes(X509_REQ* request);

/// The same request for another key. Its signature does not hold any more.
Request with_key(X509_REQ* request, EVP_PKEY* key);

/// The body of an answer to /serverkeygen (RFC 7030 4.4.2): the key, and the certificate. A key is encrypted if the
/// request names a decryption key: EnvelopedData around SignedData, by the issuer, around an AsymmetricKeyPackage. None
/// if the request names one that nobody knows.
std::optional<std::string> keygen_body(X509_REQ* request, EVP_PKEY* key, X509* certificate, const EstIssuer& issuer,
                                       const std::vector<KeygenRecipient>& recipients);

/// What goes with it.
inline constexpr const char* keygen_media_type = "multipart/mixed; boundary=devid-test-boundary";

/// The same as libest 3.2.0 writes it: what it calls application/pkcs8 is an RSAPrivateKey of PKCS#1.
std::string libest_keygen_body(EVP_PKEY* key, X509* certificate);
inline constexpr const char* libest_keygen_media_type = "multipart/mixed ; boundary=est-server-boundary";

}  // namespace devid::test
