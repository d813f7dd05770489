#include "agent/est/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>

#include "base/owned.h"

namespace devid::est {
namespace {

constexpr int least_security_level = 2;  // 112 bits: no RSA below 2048, no SHA-1

/// Where a context keeps the Tls that watches it.
int watcher_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Error tls_error(std::string_view what) { return openssl_error(Errc::tls_failed, Retry::after_operator, what); }

bool expect_host(X509_VERIFY_PARAM* param, const std::string& host) {
  if (X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1) return true;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1;
}

}  // namespace

Tls::Tls(std::string host, std::vector<pki::Certificate> anchors, ClientCredential client)
    : host_(std::move(host)),
      anchors_(std::move(anchors)),
      client_(std::move(client)),
      signatures_before_(client_.key->signatures()) {}

Result<> Tls::configure(SSL_CTX* context) {
  ERR_clear_error();
  SSL_CTX_set_security_level(context, std::max(SSL_CTX_get_security_level(context), least_security_level));
  if (SSL_CTX_set_ex_data(context, watcher_index(), this) != 1) return fail(tls_error("cannot watch TLS"));
  SSL_CTX_set_info_callback(context, &Tls::observe);
  if (auto trusted = trust(context); !trusted) return trusted;
  return identify(context);
}

Result<> Tls::trust(SSL_CTX* context) const {
  const Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  for (const auto& anchor : anchors_)
    if (X509_STORE_add_cert(store.get(), anchor.get()) != 1)
      return fail(tls_error("cannot trust the certificate " + anchor.subject()));
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  // Not as the context's own store: libcurl 7.88 still adds to that one after it has called us.
  if (SSL_CTX_set1_verify_cert_store(context, store.get()) != 1) return fail(tls_error("cannot use the trust anchors"));
  if (!expect_host(SSL_CTX_get0_param(context), host_))
    return fail(tls_error("cannot check the name of the server '" + printable(host_, 200) + "'"));
  return {};
}

Result<> Tls::identify(SSL_CTX* context) const {
  if (SSL_CTX_use_certificate(context, client_.certificate.get()) != 1)
    return fail(tls_error("cannot use the client certificate " + client_.certificate.subject()));
  for (const auto& issuer : client_.chain)
    if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1)
      return fail(tls_error("cannot use the certificate " + issuer.subject() + " in the client's chain"));
  if (SSL_CTX_use_PrivateKey(context, client_.key->get()) != 1)
    return fail(tls_error("cannot use the key of the client certificate " + client_.certificate.subject()));
  return {};
}

void Tls::observe(const SSL* ssl, int where, int value) {
  if ((where & SSL_CB_READ_ALERT) != SSL_CB_READ_ALERT) return;
  auto* self = static_cast<Tls*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), watcher_index()));
  const int level = value >> 8;
  if (self != nullptr && level == SSL3_AL_FATAL) self->alert_ = value & 0xff;
}

void Tls::begin_exchange() {
  alert_.reset();
  static_cast<void>(client_.key->take_error());
}

std::optional<Error> Tls::take_key_error() const { return client_.key->take_error(); }

bool Tls::authenticated() const { return client_.key->signatures() > signatures_before_; }

}  // namespace devid::est
