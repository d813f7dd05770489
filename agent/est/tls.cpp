#include "agent/est/tls.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "base/owned.h"

namespace devid::est {
namespace {

/// Where a context keeps the Tls that watches it.
int watcher_index() {
  static const int index = SSL_CTX_get_ex_new_index(0, nullptr, nullptr, nullptr, nullptr);
  return index;
}

Tls* watcher_of(const SSL* ssl) {
  return static_cast<Tls*>(SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), watcher_index()));
}

Error tls_error(std::string_view what) { return openssl_error(Errc::tls_failed, Retry::after_operator, what); }

bool expect_host(X509_VERIFY_PARAM* param, const std::string& host) {
  if (X509_VERIFY_PARAM_set1_ip_asc(param, host.c_str()) == 1) return true;
  ERR_clear_error();
  X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  return X509_VERIFY_PARAM_set1_host(param, host.c_str(), host.size()) == 1;
}

std::vector<pki::Certificate> verified_chain(const SSL* ssl) {
  std::vector<pki::Certificate> chain;
  const STACK_OF(X509)* verified = SSL_get0_verified_chain(ssl);
  chain.reserve(static_cast<std::size_t>(std::max(0, sk_X509_num(verified))));
  for (int i = 0; i < sk_X509_num(verified); ++i)
    chain.push_back(pki::Certificate::from_x509(sk_X509_value(verified, i)));
  return chain;
}

BytesView stapled_response(SSL* ssl) {
  const unsigned char* response = nullptr;
  const long size = SSL_get_tlsext_status_ocsp_resp(ssl, static_cast<void*>(&response));
  if (response == nullptr || size <= 0) return {};
  return std::as_bytes(std::span(response, static_cast<std::size_t>(size)));
}

}  // namespace

Tls::Tls(TlsSpec spec)
    : spec_(std::move(spec)), signatures_before_(spec_.client ? spec_.client->key->signatures() : 0) {}

Result<> Tls::configure(SSL_CTX* context) {
  ++configured_;
  ERR_clear_error();
  auto ready = set_up(context);
  if (!ready) error_ = ready.error();
  return ready;
}

Result<> Tls::set_up(SSL_CTX* context) {
  if (SSL_CTX_set_ex_data(context, watcher_index(), this) != 1) return fail(tls_error("cannot watch TLS"));
  SSL_CTX_set_info_callback(context, &Tls::observe);
  if (auto limited = limit(context); !limited) return limited;
  if (!verifies()) {
    SSL_CTX_set_verify(context, SSL_VERIFY_NONE, nullptr);
    return {};
  }
  if (auto trusted = trust(context); !trusted) return trusted;
  if (auto asked = ask_for_staple(context); !asked) return asked;
  return identify(context);
}

Result<> Tls::limit(SSL_CTX* context) const {
  if (auto applied = apply(spec_.options, context); !applied) return applied;
  if (binding_ != BindingKind::tls_unique) return {};
  if (spec_.options.minimum == TlsOptions::Version::tls_1_3) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "tls-unique is for TLS 1.2, and the profile wants TLS 1.3",
                 .hint = "use the channel binding tls-exporter, or allow TLS 1.2"});
  }
  if (SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION) != 1) return fail(tls_error("cannot limit TLS to 1.2"));
  return {};
}

Result<> Tls::trust(SSL_CTX* context) const {
  const Owned<X509_STORE, X509_STORE_free> store(X509_STORE_new());
  for (const auto& anchor : spec_.anchors)
    if (X509_STORE_add_cert(store.get(), anchor.get()) != 1)
      return fail(tls_error("cannot trust the certificate " + anchor.subject()));
  if (spec_.trust == TlsSpec::Trust::anchors_and_system && X509_STORE_set_default_paths(store.get()) != 1)
    return fail(tls_error("cannot use the trust anchors of the system"));
  X509_STORE_set_flags(store.get(), X509_V_FLAG_PARTIAL_CHAIN);
  // Not as the context's own store: libcurl 7.88 still adds to that one after it has called us.
  if (SSL_CTX_set1_verify_cert_store(context, store.get()) != 1) return fail(tls_error("cannot use the trust anchors"));
  if (!expect_host(SSL_CTX_get0_param(context), spec_.host))
    return fail(tls_error("cannot check the name of the server '" + printable(spec_.host, 200) + "'"));
  SSL_CTX_set_verify(context, SSL_VERIFY_PEER, &Tls::on_verified);
  return {};
}

/// Remembers the first reason, and changes nothing.
int Tls::on_verified(int ok, X509_STORE_CTX* context) {
  const auto* ssl = static_cast<const SSL*>(X509_STORE_CTX_get_ex_data(context, SSL_get_ex_data_X509_STORE_CTX_idx()));
  auto* self = ssl == nullptr ? nullptr : watcher_of(ssl);
  if (ok == 0 && self != nullptr && self->verify_error_ == X509_V_OK)
    self->verify_error_ = X509_STORE_CTX_get_error(context);
  return ok;
}

/// OpenSSL asks its callback for a stapled response in the client's flow after the server's certificate was verified
/// and the server has proven its key, and before the client's own certificate: with or without a response, in TLS 1.2
/// and 1.3. A resumed session of TLS 1.2 does not come here, it was checked when it began.
Result<> Tls::ask_for_staple(SSL_CTX* context) {
  if (!spec_.check_server) return {};
  if (SSL_CTX_set_tlsext_status_type(context, TLSEXT_STATUSTYPE_ocsp) != 1 ||
      SSL_CTX_callback_ctrl(context, SSL_CTRL_SET_TLSEXT_STATUS_REQ_CB,
                            reinterpret_cast<void (*)()>(&Tls::on_server_verified)) != 1 ||  // as the macro casts it
      SSL_CTX_set_tlsext_status_arg(context, this) != 1)
    return fail(tls_error("cannot ask for a stapled response"));
  return {};
}

Result<> Tls::identify(SSL_CTX* context) const {
  if (!spec_.client) return {};
  const ClientCredential& client = *spec_.client;
  if (SSL_CTX_use_certificate(context, client.certificate.get()) != 1)
    return fail(tls_error("cannot use the client certificate " + client.certificate.subject()));
  for (const auto& issuer : client.chain)
    if (SSL_CTX_add1_chain_cert(context, issuer.get()) != 1)
      return fail(tls_error("cannot use the certificate " + issuer.subject() + " in the client's chain"));
  if (SSL_CTX_use_PrivateKey(context, client.key->get()) != 1)
    return fail(tls_error("cannot use the key of the client certificate " + client.certificate.subject()));
  return {};
}

/// 1 goes on, 0 ends the handshake with the alert bad_certificate_status_response.
int Tls::on_server_verified(SSL* ssl, void* self) {
  auto& tls = *static_cast<Tls*>(self);
  if (SSL_session_reused(ssl) != 0) return 1;
  const auto checked = tls.spec_.check_server(verified_chain(ssl), stapled_response(ssl));
  if (!checked) tls.error_ = checked.error();
  return checked ? 1 : 0;
}

void Tls::observe(const SSL* ssl, int where, int value) {
  auto* self = watcher_of(ssl);
  if (self == nullptr) return;
  if ((where & SSL_CB_HANDSHAKE_DONE) != 0) {
    ++self->handshakes_;
    self->version_ = SSL_version(ssl) >= TLS1_3_VERSION ? TlsOptions::Version::tls_1_3 : TlsOptions::Version::tls_1_2;
  }
  const bool is_read_alert = (where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT;
  const int level = value >> 8;
  if (is_read_alert && level == SSL3_AL_FATAL) self->alert_ = value & 0xff;
}

bool Tls::suits_binding() const {
  return binding_ != BindingKind::tls_unique || version_ != TlsOptions::Version::tls_1_3;
}

void Tls::begin_exchange() {
  alert_.reset();
  verify_error_ = X509_V_OK;
  error_.reset();
  if (spec_.client) static_cast<void>(spec_.client->key->take_error());
}

std::optional<Error> Tls::take_error() {
  if (spec_.client)
    if (auto error = spec_.client->key->take_error()) return error;
  return std::exchange(error_, std::nullopt);
}

bool Tls::authenticated() const { return spec_.client && spec_.client->key->signatures() > signatures_before_; }

}  // namespace devid::est
