#include "tests/tokens/openssl/tls_handshake.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <array>
#include <string_view>

namespace devid::test {
namespace {

/// More turns than any handshake takes.
constexpr int most_turns = 100;

bool going_on(SSL* ssl, int result) {
  const int error = SSL_get_error(ssl, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE;
}

bool sends(SSL* from, SSL* to, std::string_view text) {
  std::array<char, 64> buffer{};
  if (SSL_write(from, text.data(), static_cast<int>(text.size())) != static_cast<int>(text.size())) return false;
  const int got = SSL_read(to, buffer.data(), static_cast<int>(buffer.size()));
  return got > 0 && text == std::string_view(buffer.data(), static_cast<std::size_t>(got));
}

Bytes peer_certificate(const SSL* ssl) {
  const X509Cert certificate(SSL_get1_peer_certificate(ssl));
  if (!certificate) return {};
  Bytes der(static_cast<std::size_t>(i2d_X509(certificate.get(), nullptr)));
  unsigned char* position = as_uchar(std::span(der));
  i2d_X509(certificate.get(), &position);
  return der;
}

}  // namespace

SslContext tls_client(const TestCredential& trusted, const std::string& certificate_pem, EVP_PKEY* key) {
  SslContext context(SSL_CTX_new(TLS_client_method()));
  const Bio bio(BIO_new_mem_buf(certificate_pem.data(), static_cast<int>(certificate_pem.size())));
  const X509Cert certificate(PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER, nullptr);
  if (SSL_CTX_load_verify_file(context.get(), trusted.certificate.c_str()) != 1 ||
      SSL_CTX_use_certificate(context.get(), certificate.get()) != 1 ||
      SSL_CTX_use_PrivateKey(context.get(), key) != 1 || SSL_CTX_check_private_key(context.get()) != 1) {
    return nullptr;
  }
  return context;
}

SslContext tls_server(const TestCredential& trusted, const TestCredential& own) {
  SslContext context(SSL_CTX_new(TLS_server_method()));
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  if (SSL_CTX_load_verify_file(context.get(), trusted.certificate.c_str()) != 1 ||
      SSL_CTX_use_certificate_chain_file(context.get(), own.full_chain.c_str()) != 1 ||
      SSL_CTX_use_PrivateKey_file(context.get(), own.key.c_str(), SSL_FILETYPE_PEM) != 1) {
    return nullptr;
  }
  return context;
}

Handshake shake_hands(SSL_CTX* client_context, SSL_CTX* server_context) {
  ERR_clear_error();
  const Ssl client(SSL_new(client_context));
  const Ssl server(SSL_new(server_context));
  BIO* client_end = nullptr;
  BIO* server_end = nullptr;
  BIO_new_bio_pair(&client_end, 0, &server_end, 0);
  SSL_set_bio(client.get(), client_end, client_end);
  SSL_set_bio(server.get(), server_end, server_end);
  SSL_set1_host(client.get(), "localhost");
  SSL_set_connect_state(client.get());
  SSL_set_accept_state(server.get());

  Handshake seen;
  bool go_on = true;
  for (int turn = 0; turn < most_turns && go_on && !(seen.client_done && seen.server_done); ++turn) {
    const int client_result = SSL_do_handshake(client.get());
    seen.client_done = client_result == 1;
    go_on = seen.client_done || going_on(client.get(), client_result);
    if (!go_on) seen.client_reason = openssl_reason();
    const int server_result = SSL_do_handshake(server.get());
    seen.server_done = server_result == 1;
    go_on = go_on && (seen.server_done || going_on(server.get(), server_result));
  }
  seen.version = SSL_version(server.get());
  SSL_get_peer_signature_type_nid(server.get(), &seen.client_signature);
  seen.client_certificate = peer_certificate(server.get());
  seen.data_exchanged = seen.client_done && seen.server_done && sends(client.get(), server.get(), "question") &&
                        sends(server.get(), client.get(), "answer");
  ERR_clear_error();
  return seen;
}

}  // namespace devid::test
