#include "agent/est/proxy_error.h"

#include <string_view>

namespace devid::est {
namespace {

struct Meaning {
  std::string_view what;
  std::string_view hint;
  Retry retry = Retry::later;
};

Meaning wants_login() {
  return {"the proxy does not accept this device", "check user and password of the proxy in the configuration",
          Retry::after_operator};
}

Meaning of_connect_status(long status) {
  if (status == 407 || status == 401) return wants_login();  // tinyproxy answers 401 to a wrong password
  if (status >= 500) return {"the proxy cannot reach the server", "is the server running? See the proxy's log"};
  return {"the proxy does not let this device through", "do the proxy's rules allow CONNECT to this host and port?",
          Retry::after_operator};
}

Meaning of_socks(CURLproxycode code) {
  switch (code) {
    case CURLPX_NO_AUTH:
    case CURLPX_USER_REJECTED:
    case CURLPX_REQUEST_FAILED:
    case CURLPX_UNKNOWN_MODE: return wants_login();
    case CURLPX_REPLY_NOT_ALLOWED:
      return {"the proxy does not let this device through", "do the proxy's rules allow this host and port?",
              Retry::after_operator};
    case CURLPX_REPLY_CONNECTION_REFUSED:
    case CURLPX_REPLY_HOST_UNREACHABLE:
    case CURLPX_REPLY_NETWORK_UNREACHABLE:
    case CURLPX_REPLY_TTL_EXPIRED:
      return {"the proxy cannot reach the server", "is the server running? See the proxy's log"};
    default: return {"the proxy does not do what a SOCKS 5 proxy does", "is the proxy's URL right? See its log"};
  }
}

Meaning meaning_of(const ProxyFailure& failure) {
  constexpr std::string_view address = "check the proxy's URL in the configuration; is it running?";
  if (failure.connect_status != 0 && failure.connect_status / 100 != 2)
    return of_connect_status(failure.connect_status);
  switch (failure.code) {
    case CURLE_PROXY: return of_socks(failure.socks_code);
    case CURLE_COULDNT_RESOLVE_HOST:  // of a SOCKS proxy
    case CURLE_COULDNT_RESOLVE_PROXY: return {"the proxy's host name cannot be resolved", address};
    case CURLE_COULDNT_CONNECT: return {"the proxy cannot be reached", address};
    case CURLE_PEER_FAILED_VERIFICATION:
      return {"the proxy's certificate is not trusted", "is its CA among the trust anchors of the proxy?",
              Retry::after_operator};
    case CURLE_OPERATION_TIMEDOUT: return {"the proxy does not answer in time", address};
    default: return {"the connection to the proxy broke", "see the proxy's log; is its URL right?"};
  }
}

}  // namespace

Error proxy_error(const ProxyFailure& failure) {
  const Meaning meaning = meaning_of(failure);
  return {.code = Errc::proxy_failed,
          .retry = meaning.retry,
          .what = std::string(meaning.what),
          .reason = failure.text.empty() ? curl_easy_strerror(failure.code) : failure.text,
          .hint = std::string(meaning.hint)};
}

}  // namespace devid::est
