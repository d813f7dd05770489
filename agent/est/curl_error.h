#pragma once

#include <curl/curl.h>

#include <optional>
#include <string>

#include "base/error.h"

namespace devid::est {

/// What libcurl and OpenSSL know about an exchange that failed.
struct CurlFailure {
  CURLcode code = CURLE_OK;
  std::string text;          ///< curl's error buffer, may be empty
  long verify_result = 0;    ///< why the server's certificate was refused: X509_V_OK or X509_V_ERR_…
  std::optional<int> alert;  ///< the fatal TLS alert that the server sent: the number of RFC 8446 6.2
};

/// The one place where curl's failures become ours: network_unreachable, network_timeout, tls_untrusted, tls_failed,
/// server_protocol or internal.
Error curl_error(const CurlFailure& failure);

}  // namespace devid::est
