#include "agent/est/curl_error.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

TEST(AFailureOfCurl, HasACodeAndAnAdvice) {
  struct Case {
    CurlFailure failure;
    Errc code;
    Retry retry;
  };
  const std::vector<Case> table = {
      {{.code = CURLE_COULDNT_RESOLVE_HOST}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_COULDNT_CONNECT}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_OPERATION_TIMEDOUT}, Errc::network_timeout, Retry::later},
      {{.code = CURLE_GOT_NOTHING}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_RECV_ERROR}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_SEND_ERROR}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_PARTIAL_FILE}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_HTTP2_STREAM}, Errc::network_unreachable, Retry::later},
      {{.code = CURLE_PEER_FAILED_VERIFICATION}, Errc::tls_untrusted, Retry::after_operator},
      {{.code = CURLE_SSL_CONNECT_ERROR}, Errc::tls_failed, Retry::after_operator},
      {{.code = CURLE_SSL_CONNECT_ERROR, .text = "SSL_ERROR_SYSCALL in connection to x:1"},
       Errc::network_unreachable,
       Retry::later},
      {{.code = CURLE_SSL_CONNECT_ERROR, .alert = SSL_AD_UNKNOWN_CA}, Errc::tls_failed, Retry::after_operator},
      {{.code = CURLE_RECV_ERROR, .alert = SSL_AD_UNKNOWN_CA}, Errc::tls_failed, Retry::after_operator},
      {{.code = CURLE_RECV_ERROR, .alert = SSL_AD_INTERNAL_ERROR}, Errc::tls_failed, Retry::later},
      {{.code = CURLE_WEIRD_SERVER_REPLY}, Errc::server_protocol, Retry::later},
      {{.code = CURLE_UNSUPPORTED_PROTOCOL}, Errc::server_protocol, Retry::later},
      {{.code = CURLE_FAILED_INIT}, Errc::internal, Retry::later},
  };
  for (const auto& [failure, code, retry] : table) {
    const Error error = curl_error(failure);
    EXPECT_EQ(error.code, code) << failure.code;
    EXPECT_EQ(error.retry, retry) << failure.code;
    EXPECT_FALSE(error.what.empty()) << failure.code;
    EXPECT_FALSE(error.reason.empty()) << failure.code;
  }
}

TEST(AFailureOfCurl, KeepsCurlsOwnWords) {
  const Error error = curl_error({.code = CURLE_COULDNT_CONNECT, .text = "Failed to connect to x port 1"});
  EXPECT_EQ(error.reason, "Failed to connect to x port 1");
  EXPECT_EQ(curl_error({.code = CURLE_COULDNT_CONNECT}).reason, curl_easy_strerror(CURLE_COULDNT_CONNECT));
}

TEST(AFailureOfCurl, HintsAtWhatIsWrongWithTheServersCertificate) {
  const auto hint = [](long result) {
    return curl_error({.code = CURLE_PEER_FAILED_VERIFICATION, .verify_result = result}).hint;
  };
  EXPECT_NE(hint(X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY).find("trust_anchors"), std::string::npos);
  EXPECT_NE(hint(X509_V_ERR_CERT_HAS_EXPIRED).find("expired"), std::string::npos);
  EXPECT_NE(hint(X509_V_ERR_CERT_NOT_YET_VALID).find("clock"), std::string::npos);
  EXPECT_NE(hint(X509_V_ERR_HOSTNAME_MISMATCH).find("another name"), std::string::npos);
  EXPECT_NE(hint(X509_V_OK).find("another name"), std::string::npos);
  EXPECT_FALSE(hint(X509_V_ERR_UNSPECIFIED).empty());
}

TEST(AFailureOfCurl, HintsAtWhyTheServerEndsTheConnection) {
  for (int alert = 0; alert < 256; ++alert) {
    const Error error = curl_error({.code = CURLE_RECV_ERROR, .alert = alert});
    EXPECT_EQ(error.code, Errc::tls_failed) << alert;
    EXPECT_FALSE(error.hint.empty()) << alert;
  }
  EXPECT_EQ(curl_error({.code = CURLE_RECV_ERROR, .alert = SSL_AD_UNKNOWN_CA}).hint,
            "the server does not accept this client certificate: is the manufacturer CA in its trust store?");
}

}  // namespace
}  // namespace devid::est
