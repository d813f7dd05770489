#include "agent/est/proxy_error.h"

#include <gtest/gtest.h>

namespace devid::est {
namespace {

TEST(AProxyError, SaysWhereToLook) {
  const struct {
    ProxyFailure failure;
    const char* what;
    Retry retry;
  } table[] = {
      {{.code = CURLE_RECV_ERROR, .connect_status = 407}, "does not accept this device", Retry::after_operator},
      {{.code = CURLE_RECV_ERROR, .connect_status = 403}, "does not let this device", Retry::after_operator},
      {{.code = CURLE_RECV_ERROR, .connect_status = 502}, "cannot reach the server", Retry::later},
      {{.code = CURLE_PROXY, .socks_code = CURLPX_USER_REJECTED}, "does not accept this device", Retry::after_operator},
      {{.code = CURLE_PROXY, .socks_code = CURLPX_NO_AUTH}, "does not accept this device", Retry::after_operator},
      {{.code = CURLE_PROXY, .socks_code = CURLPX_REPLY_NOT_ALLOWED}, "does not let", Retry::after_operator},
      {{.code = CURLE_PROXY, .socks_code = CURLPX_REPLY_CONNECTION_REFUSED}, "cannot reach the server", Retry::later},
      {{.code = CURLE_PROXY, .socks_code = CURLPX_BAD_VERSION}, "does not do what a SOCKS 5", Retry::later},
      {{.code = CURLE_COULDNT_RESOLVE_PROXY}, "cannot be resolved", Retry::later},
      {{.code = CURLE_COULDNT_RESOLVE_HOST}, "cannot be resolved", Retry::later},
      {{.code = CURLE_RECV_ERROR, .connect_status = 401}, "does not accept this device", Retry::after_operator},
      {{.code = CURLE_COULDNT_CONNECT}, "cannot be reached", Retry::later},
      {{.code = CURLE_PEER_FAILED_VERIFICATION}, "is not trusted", Retry::after_operator},
      {{.code = CURLE_OPERATION_TIMEDOUT}, "in time", Retry::later},
      {{.code = CURLE_GOT_NOTHING}, "broke", Retry::later},
  };
  for (const auto& row : table) {
    const Error error = proxy_error(row.failure);
    EXPECT_EQ(error.code, Errc::proxy_failed);
    EXPECT_NE(error.what.find(row.what), std::string::npos) << error.what;
    EXPECT_EQ(error.retry, row.retry) << error.what;
    EXPECT_FALSE(error.hint.empty());
    EXPECT_FALSE(error.reason.empty());
  }
}

}  // namespace
}  // namespace devid::est
