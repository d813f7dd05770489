#pragma once

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <string>

namespace devid::test {

/// What ties a request to the server's end of a TLS connection, in base64: none of devid's own code, lest both err
/// alike.
struct ChannelBindings {
  std::string unique;    ///< RFC 5929; empty in TLS 1.3
  std::string exported;  ///< RFC 9266
};

ChannelBindings bindings_of(SSL* ssl);

/// The challengePassword of a request, empty if it has none.
std::string challenge_password(X509_REQ* request);

/// Whether the challengePassword is one of the bindings.
bool is_bound(X509_REQ* request, const ChannelBindings& bindings);

}  // namespace devid::test
