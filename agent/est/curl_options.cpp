#include "agent/est/curl_options.h"

#include <openssl/ssl.h>

#include <span>
#include <string>

#include "agent/est/curl_error.h"
#include "base/bytes.h"

namespace devid::est {
namespace {

/// A newest version is set for the way to the proxy alone: see is_to_proxy.
constexpr long proxy_versions = 0L + CURL_SSLVERSION_TLSv1_2 + CURL_SSLVERSION_MAX_TLSv1_3;

long scheme_of(PasswordLogin::Scheme scheme) {
  switch (scheme) {
    case PasswordLogin::Scheme::basic: return static_cast<long>(CURLAUTH_BASIC);
    case PasswordLogin::Scheme::digest: return static_cast<long>(CURLAUTH_DIGEST);
    case PasswordLogin::Scheme::any: break;
  }
  return static_cast<long>(CURLAUTH_BASIC | CURLAUTH_DIGEST);
}

}  // namespace

CurlOptions& CurlOptions::set_secret(CURLoption option, const Secret& value) {
  std::string text(as_text(value.reveal()));
  set(option, text.c_str());
  wipe(std::as_writable_bytes(std::span(text)));
  return *this;
}

CurlOptions& CurlOptions::set_authentication(const HttpAuthentication& authentication) {
  if (const auto* login = std::get_if<PasswordLogin>(&authentication)) {
    set(CURLOPT_HTTPAUTH, scheme_of(login->scheme)).set(CURLOPT_USERNAME, login->user.c_str());
    return set_secret(CURLOPT_PASSWORD, login->password);
  }
  if (const auto* bearer = std::get_if<BearerToken>(&authentication)) {
    set(CURLOPT_HTTPAUTH, static_cast<long>(CURLAUTH_BEARER));
    return set_secret(CURLOPT_XOAUTH2_BEARER, bearer->token);
  }
  return *this;
}

CurlOptions& CurlOptions::set_proxy(const std::optional<Proxy>& proxy, std::string_view host) {
  set(CURLOPT_NOPROXY, "");  // decided here: an error has to say whether the proxy was on the way
  if (!proxy || is_excepted(*proxy, host)) return set(CURLOPT_PROXY, "");
  constexpr std::string_view socks = "socks5://";
  const bool is_socks = proxy->url.starts_with(socks);
  const std::string url = is_socks ? "socks5h://" + proxy->url.substr(socks.size()) : proxy->url;
  set(CURLOPT_PROXY, url.c_str())
      .set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L)
      .set(CURLOPT_PROXYAUTH, static_cast<long>(CURLAUTH_BASIC | CURLAUTH_DIGEST))
      .set(CURLOPT_SOCKS5_AUTH, static_cast<long>(CURLAUTH_BASIC))
      .set(CURLOPT_PROXY_SSL_VERIFYPEER, 1L)
      .set(CURLOPT_PROXY_SSL_VERIFYHOST, 2L)
      .set(CURLOPT_PROXY_SSLVERSION, proxy_versions);
  if (!proxy->anchors.empty()) {
    std::string pem = pki::to_pem(proxy->anchors);
    curl_blob blob{.data = pem.data(), .len = pem.size(), .flags = CURL_BLOB_COPY};
    const char* none = nullptr;
    set(CURLOPT_PROXY_CAINFO_BLOB, &blob).set(CURLOPT_PROXY_CAINFO, none).set(CURLOPT_PROXY_CAPATH, none);
  }
  if (!proxy->login) return *this;
  set(CURLOPT_PROXYUSERNAME, proxy->login->user.c_str());
  return set_secret(CURLOPT_PROXYPASSWORD, proxy->login->password);
}

Result<> CurlOptions::done() const {
  if (code_ == CURLE_OK) return {};
  return fail(curl_error({.code = code_, .text = std::string("cannot set an option: ") + curl_easy_strerror(code_)}));
}

bool is_to_proxy(void* ssl_context) { return SSL_CTX_get_max_proto_version(static_cast<SSL_CTX*>(ssl_context)) != 0; }

}  // namespace devid::est
