#include "agent/est/curl_error.h"

#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include <algorithm>
#include <array>
#include <string_view>

namespace devid::est {
namespace {

std::string reason_of(const CurlFailure& failure) {
  return failure.text.empty() ? curl_easy_strerror(failure.code) : failure.text;
}

std::string_view hint_for_untrusted(long verify_result) {
  switch (verify_result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return "the server's certificate, or one of its CAs, has expired: renew it there; or this device's clock is "
             "wrong";
    case X509_V_ERR_CERT_NOT_YET_VALID: return "is this device's clock right?";
    case X509_V_OK:  // curl's own check of the name comes after OpenSSL is content
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
      return "the server's certificate is for another name than the URL has: correct the URL in the profile, or the "
             "certificate";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
      return "is the CA of the server's certificate in the profile's trust_anchors, and does the server send its "
             "intermediates?";
    case X509_V_ERR_INVALID_PURPOSE:
      return "the server's certificate is not for TLS servers: see its extended key usage";
    default: return "see the server's certificate: openssl s_client -connect HOST:PORT -showcerts";
  }
}

Error untrusted(const CurlFailure& failure) {
  return {.code = Errc::tls_untrusted,
          .retry = Retry::after_operator,
          .what = "the server's certificate is not trusted",
          .reason = reason_of(failure),
          .hint = std::string(hint_for_untrusted(failure.verify_result))};
}

/// The server has said why it ends the connection. It does so for a client certificate that it does not like; with TLS
/// 1.3 that is only seen when the first answer is read.
Error alerted(const CurlFailure& failure, int alert) {
  Error error{.code = Errc::tls_failed,
              .retry = Retry::after_operator,
              .what = "the server ends the TLS connection",
              .reason = reason_of(failure)};
  switch (alert) {
    case SSL_AD_UNKNOWN_CA:
      error.hint = "the server does not accept this client certificate: is the manufacturer CA in its trust store?";
      break;
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
    case SSL_AD_DECRYPT_ERROR:
      error.hint = "the server does not accept this client certificate: its log says why";
      break;
    case SSL_AD_CERTIFICATE_EXPIRED:
      error.hint = "the server takes this client certificate for expired: compare its dates with both clocks";
      break;
    case SSL_AD_CERTIFICATE_REVOKED: error.hint = "this client certificate is revoked"; break;
    case SSL_AD_CERTIFICATE_REQUIRED:
      error.hint = "the server wants a client certificate, and OpenSSL found none that fits its request";
      break;
    case SSL_AD_HANDSHAKE_FAILURE:
    case SSL_AD_PROTOCOL_VERSION:
    case SSL_AD_INSUFFICIENT_SECURITY:
      error.hint = "the server and devid have no protocol version, cipher suite or signature algorithm in common";
      break;
    case SSL_AD_UNRECOGNIZED_NAME: error.hint = "the server does not know the host name of the URL"; break;
    case SSL_AD_INTERNAL_ERROR:
      error.retry = Retry::later;
      error.hint = "the server has a problem of its own: see its log";
      break;
    default: error.hint = "see the server's log"; break;
  }
  return error;
}

Error unreachable(const CurlFailure& failure, std::string_view what, std::string_view hint = {}) {
  return {.code = Errc::network_unreachable,
          .retry = Retry::later,
          .what = std::string(what),
          .reason = reason_of(failure),
          .hint = std::string(hint)};
}

/// OpenSSL has one code for a handshake that failed and one for a peer that went away in it; curl has only one.
bool went_away(std::string_view text) {
  constexpr std::array<std::string_view, 4> signs = {"SSL_ERROR_SYSCALL", "unexpected eof", "reset by peer",
                                                     "Broken pipe"};
  return std::ranges::any_of(signs, [text](auto sign) { return text.find(sign) != std::string_view::npos; });
}

Error handshake_failed(const CurlFailure& failure) {
  constexpr std::string_view what = "the TLS handshake with the server fails";
  if (went_away(failure.text)) return unreachable(failure, what, "the server closed the connection: see its log");
  return {.code = Errc::tls_failed,
          .retry = Retry::after_operator,
          .what = std::string(what),
          .reason = reason_of(failure),
          .hint = "does the server speak TLS 1.2 or newer at this port?"};
}

}  // namespace

Error curl_error(const CurlFailure& failure) {
  if (failure.code == CURLE_PEER_FAILED_VERIFICATION) return untrusted(failure);
  if (failure.code == CURLE_OPERATION_TIMEDOUT) {
    return {.code = Errc::network_timeout,
            .retry = Retry::later,
            .what = "the server does not answer in time",
            .reason = reason_of(failure),
            .hint = "is the server overloaded, or a firewall between?"};
  }
  if (failure.alert) return alerted(failure, *failure.alert);
  switch (failure.code) {
    case CURLE_COULDNT_RESOLVE_HOST:
      return unreachable(failure, "the server's host name cannot be resolved",
                         "check the host name in the profile's url, and this device's DNS");
    case CURLE_COULDNT_CONNECT:
      return unreachable(failure, "the server cannot be reached",
                         "check host and port in the profile's url; is the server running, is a firewall between?");
    case CURLE_SSL_CONNECT_ERROR: return handshake_failed(failure);
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_HTTP2:
      return {.code = Errc::server_protocol,
              .retry = Retry::later,
              .what = "the server's answer is not HTTP",
              .reason = reason_of(failure),
              .hint = "does an EST server listen at this port?"};
    case CURLE_OUT_OF_MEMORY:  // of its own bounds: a line of a head may be so long
#if LIBCURL_VERSION_NUM >= 0x080600
    case CURLE_TOO_LARGE:
#endif
      return {.code = Errc::answer_too_large,
              .retry = Retry::later,
              .what = "the server's answer is more than libcurl takes",
              .reason = reason_of(failure),
              .hint = "is this the URL of an EST server?"};
    case CURLE_FAILED_INIT:
    case CURLE_BAD_FUNCTION_ARGUMENT:
    case CURLE_UNKNOWN_OPTION:
    case CURLE_NOT_BUILT_IN:
      return {.code = Errc::internal, .retry = Retry::later, .what = "libcurl fails", .reason = reason_of(failure)};
    default: return unreachable(failure, "the connection to the server broke", "see the server's log");
  }
}

}  // namespace devid::est
