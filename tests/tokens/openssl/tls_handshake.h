#pragma once

#include <openssl/ssl.h>

#include <string>

#include "base/openssl.h"
#include "tests/support/test_pki.h"

namespace devid::test {

using SslContext = Owned<SSL_CTX, SSL_CTX_free>;
using Ssl = Owned<SSL, SSL_free>;

/// A TLS client, in OpenSSL's default context as libcurl makes it. It verifies the server, and shows `certificate`.
/// Null, with OpenSSL's reason in its queue, if the key does not fit.
SslContext tls_client(const TestCredential& trusted, const std::string& certificate_pem, EVP_PKEY* key);

/// A TLS server that wants a certificate of the client, issued by `trusted`.
SslContext tls_server(const TestCredential& trusted, const TestCredential& own);

/// What came of it, as the two ends saw it.
struct Handshake {
  bool client_done = false;
  bool server_done = false;     ///< the client's certificate was verified
  bool data_exchanged = false;  ///< a few bytes went each way
  int version = 0;
  int client_signature = 0;   ///< by the server: NID_rsassaPss, EVP_PKEY_RSA or EVP_PKEY_EC
  Bytes client_certificate;   ///< by the server: DER, empty if there was none
  std::string client_reason;  ///< OpenSSL's queue after the client failed
};

/// Connects two ends through memory.
Handshake shake_hands(SSL_CTX* client, SSL_CTX* server);

}  // namespace devid::test
