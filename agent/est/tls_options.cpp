#include "agent/est/tls_options.h"

#include <openssl/err.h>
#include <openssl/provider.h>

#include <algorithm>
#include <utility>

#include "base/openssl.h"

namespace devid::est {
namespace {

constexpr int least_security_level = 2;  // 112 bits: no RSA below 2048, no SHA-1

using Context = Owned<SSL_CTX, SSL_CTX_free>;

Error wrong_list(std::string_view what, const std::string& list) {
  Error error = openssl_error(Errc::config_invalid, Retry::after_operator,
                              "OpenSSL does not know the " + std::string(what) + " '" + printable(list, 200) + "'");
  error.hint = "openssl ciphers -v and openssl list -public-key-algorithms show what there is";
  return error;
}

}  // namespace

Result<> apply(const TlsOptions& options, SSL_CTX* context) {
  ERR_clear_error();
  const int minimum = options.minimum == TlsOptions::Version::tls_1_3 ? TLS1_3_VERSION : TLS1_2_VERSION;
  if (SSL_CTX_set_min_proto_version(context, minimum) != 1)
    return fail(openssl_error(Errc::config_invalid, Retry::after_operator, "OpenSSL cannot do this version of TLS"));
  if (!options.cipher_list.empty() && SSL_CTX_set_cipher_list(context, options.cipher_list.c_str()) != 1)
    return fail(wrong_list("TLS 1.2 ciphers", options.cipher_list));
  if (!options.cipher_suites.empty() && SSL_CTX_set_ciphersuites(context, options.cipher_suites.c_str()) != 1)
    return fail(wrong_list("TLS 1.3 cipher suites", options.cipher_suites));
  if (!options.groups.empty() && SSL_CTX_set1_groups_list(context, options.groups.c_str()) != 1)
    return fail(wrong_list("groups", options.groups));
  SSL_CTX_set_security_level(context, std::max(SSL_CTX_get_security_level(context), least_security_level));
  return {};
}

Result<> check(const TlsOptions& options) {
  std::optional<FipsMode> mode;
  if (options.fips) {
    auto entered = FipsMode::enter();
    if (!entered) return fail(std::move(entered.error()));
    mode.emplace(std::move(*entered));
  }
  const Context context(SSL_CTX_new(TLS_client_method()));
  if (!context) return fail(openssl_error(Errc::internal, Retry::later, "OpenSSL has no TLS"));
  return apply(options, context.get());
}

Result<FipsMode> FipsMode::enter() {
  constexpr int keep_default = 1;
  ERR_clear_error();
  static OSSL_PROVIDER* provider = nullptr;
  if (provider == nullptr) provider = OSSL_PROVIDER_try_load(nullptr, "fips", keep_default);
  if (provider == nullptr || EVP_default_properties_enable_fips(nullptr, 1) != 1) {
    Error error = openssl_error(Errc::config_invalid, Retry::after_operator,
                                "FIPS is demanded, and OpenSSL's FIPS provider cannot be used");
    error.hint = "install the provider and its fipsmodule.cnf (fips_config(5ssl)), or set fips = false";
    return fail(std::move(error));
  }
  return FipsMode();
}

FipsMode::FipsMode(FipsMode&& other) noexcept : is_on_(std::exchange(other.is_on_, false)) {}

FipsMode::~FipsMode() {
  if (is_on_) EVP_default_properties_enable_fips(nullptr, 0);
}

}  // namespace devid::est
