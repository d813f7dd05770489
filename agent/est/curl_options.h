#pragma once

#include <curl/curl.h>

#include <optional>
#include <string_view>

#include "agent/est/authentication.h"
#include "agent/est/proxy.h"
#include "base/result.h"

namespace devid::est {

/// Applies options to a handle of libcurl until one fails.
class CurlOptions {
 public:
  explicit CurlOptions(CURL* easy) : easy_(easy) {}

  template <class Value>
  CurlOptions& set(CURLoption option, Value value) {
    if (code_ == CURLE_OK) code_ = curl_easy_setopt(easy_, option, value);
    return *this;
  }
  /// A text option. libcurl makes a copy for as long as the handle lives: one with secrets should not live long.
  CurlOptions& set_secret(CURLoption option, const Secret& value);
  CurlOptions& set_authentication(const HttpAuthentication& authentication);
  /// The proxy on the way to `host`, which has no brackets; none for an exception. Without one the environment's
  /// proxies are not used either. curl tells the connections of an https proxy apart by is_to_proxy.
  CurlOptions& set_proxy(const std::optional<Proxy>& proxy, std::string_view host);

  /// Error: internal.
  [[nodiscard]] Result<> done() const;

 private:
  CURL* easy_;
  CURLcode code_ = CURLE_OK;
};

/// Whether a TLS context, as curl hands it to CURLOPT_SSL_CTX_FUNCTION, is for the way to an https proxy: curl calls
/// the one function for both ends. Only there a newest version is set.
bool is_to_proxy(void* ssl_context);

}  // namespace devid::est
