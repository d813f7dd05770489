#pragma once

#include <curl/curl.h>

#include <string>

#include "base/error.h"

namespace devid::est {

/// What libcurl knows about an exchange that came no farther than the proxy.
struct ProxyFailure {
  CURLcode code = CURLE_OK;
  std::string text;                      ///< curl's error buffer, may be empty
  long connect_status = 0;               ///< the proxy's answer to CONNECT, 0 if there was none
  CURLproxycode socks_code = CURLPX_OK;  ///< why SOCKS failed
};

/// Always proxy_failed; the hint says where to look.
Error proxy_error(const ProxyFailure& failure);

}  // namespace devid::est
