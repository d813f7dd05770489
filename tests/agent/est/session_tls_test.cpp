#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::CertificateSpec;
using devid::test::ClientAuth;
using devid::test::EstServer;
using devid::test::TestCredential;
using devid::test::TlsVersion;

constexpr Seconds day{86400};

Time now() { return SystemClock().now(); }

/// A server's certificate with one thing changed.
CertificateSpec server_certificate() {
  return {.issuer = "operator",
          .subject = "/CN=est",
          .alternative_names = {"IP:127.0.0.1"},
          .extended_key_usage = "serverAuth"};
}

class ATlsConnection : public testing::Test {
 protected:
  /// What comes of /cacerts from a server with this certificate.
  Error refused(const CertificateSpec& certificate) {
    const TestCredential credential = Cas::instance().pki.issue(certificate);
    auto spec = server_spec();
    spec.certificate = credential.full_chain;
    spec.key = credential.key;
    const EstServer server(std::move(spec));
    return error_of(session_spec(server, device));
  }
  static Error error_of(SessionSpec spec) {
    const auto answer = need(Session::create(std::move(spec)))->ca_certificates();
    EXPECT_FALSE(answer);
    return answer ? Error{} : answer.error();
  }
  void expect_not_shown() { EXPECT_EQ(device.key.signing_key().signatures(), 0U) << "the IDevID was shown"; }

  Device device;
};

TEST_F(ATlsConnection, IsNotMadeToAServerOfAnotherCa) {
  const EstServer server(server_spec());
  auto spec = session_spec(server, device);
  spec.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  const Error error = error_of(std::move(spec));
  EXPECT_EQ(error.code, Errc::tls_untrusted) << error.sentence();
  EXPECT_NE(error.hint.find("trust_anchors"), std::string::npos) << error.hint;
  expect_not_shown();
}

TEST_F(ATlsConnection, IsNotMadeToAServerThatOnlyTheSystemTrusts) {
  const EstServer server(server_spec());
  auto spec = session_spec(server, device);
  spec.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  ASSERT_EQ(::setenv("SSL_CERT_FILE", Cas::instance().pki.ca("operator").certificate.c_str(), 1), 0);
  const Error error = error_of(std::move(spec));
  ::unsetenv("SSL_CERT_FILE");
  EXPECT_EQ(error.code, Errc::tls_untrusted) << error.sentence();
  expect_not_shown();
}

TEST_F(ATlsConnection, IsNotMadeToAServerOfAnotherName) {
  auto certificate = server_certificate();
  certificate.alternative_names = {"IP:127.0.0.2", "DNS:127.0.0.1"};
  const Error error = refused(certificate);
  EXPECT_EQ(error.code, Errc::tls_untrusted) << error.sentence();
  EXPECT_NE(error.hint.find("another name"), std::string::npos) << error.hint;
  expect_not_shown();
}

TEST_F(ATlsConnection, IsNotMadeToAHostOfAnotherName) {
  auto certificate = server_certificate();
  certificate.alternative_names = {"DNS:est.example", "DNS:*.localhost"};
  const TestCredential credential = Cas::instance().pki.issue(certificate);
  auto server = server_spec();
  server.certificate = credential.full_chain;
  server.key = credential.key;
  const EstServer other(std::move(server));
  auto spec = session_spec(other, device);
  spec.endpoint = need(Endpoint::parse(other.url("localhost")));
  EXPECT_EQ(error_of(std::move(spec)).code, Errc::tls_untrusted);
  expect_not_shown();
}

TEST_F(ATlsConnection, IsMadeToTheHostThatTheCertificateNames) {
  const EstServer server(server_spec());
  auto spec = session_spec(server, device);
  spec.endpoint = need(Endpoint::parse(server.url("localhost")));
  EXPECT_TRUE(need(Session::create(std::move(spec)))->ca_certificates());
}

TEST_F(ATlsConnection, IsNotMadeToAServerWhoseCertificateHasExpired) {
  auto certificate = server_certificate();
  certificate.not_before = now() - 3 * day;
  certificate.not_after = now() - day;
  const Error error = refused(certificate);
  EXPECT_EQ(error.code, Errc::tls_untrusted) << error.sentence();
  EXPECT_NE(error.hint.find("expired"), std::string::npos) << error.hint;
  expect_not_shown();
}

TEST_F(ATlsConnection, IsNotMadeToAServerWhoseCertificateIsNotYetValid) {
  auto certificate = server_certificate();
  certificate.not_before = now() + day;
  const Error error = refused(certificate);
  EXPECT_EQ(error.code, Errc::tls_untrusted) << error.sentence();
  EXPECT_NE(error.hint.find("clock"), std::string::npos) << error.hint;
}

TEST_F(ATlsConnection, IsNotMadeToSomebodyWithAClientsCertificate) {
  auto certificate = server_certificate();
  certificate.extended_key_usage = "clientAuth";
  EXPECT_EQ(refused(certificate).code, Errc::tls_untrusted);
  expect_not_shown();
}

TEST_F(ATlsConnection, IsNotMadeToAServerWithAWeakKeyOrDigest) {
  auto weak_key = server_certificate();
  weak_key.key = devid::test::TestKey::rsa_1024;
  EXPECT_EQ(refused(weak_key).code, Errc::tls_untrusted);
  auto weak_digest = server_certificate();
  weak_digest.digest = "sha1";
  EXPECT_EQ(refused(weak_digest).code, Errc::tls_untrusted);
  expect_not_shown();
}

TEST_F(ATlsConnection, TrustsAnIntermediateThatIsAnAnchor) {
  const TestCredential credential = Cas::instance().pki.issue_server("issuing");
  auto server_with_chain = server_spec();
  server_with_chain.certificate = credential.certificate;
  server_with_chain.key = credential.key;
  const EstServer server(std::move(server_with_chain));
  auto spec = session_spec(server, device);
  spec.anchors = certificates(Cas::instance().pki.ca("issuing").certificate_pem);
  const auto answer = need(Session::create(std::move(spec)))->ca_certificates();
  EXPECT_TRUE(answer) << answer.error().sentence();
}

TEST_F(ATlsConnection, SaysThatTheServerDoesNotKnowTheManufacturer) {
  Device foreign(KeyAlgorithm::ec_p256, "stranger");
  for (const TlsVersion tls : {TlsVersion::tls_1_2, TlsVersion::tls_1_3}) {
    auto spec = server_spec();
    spec.tls = tls;
    const EstServer server(std::move(spec));
    const Error error = error_of(session_spec(server, foreign));
    EXPECT_EQ(error.code, Errc::tls_failed) << error.sentence();
    EXPECT_EQ(error.retry, Retry::after_operator);
    EXPECT_EQ(error.hint,
              "the server does not accept this client certificate: is the manufacturer CA in its trust store?");
  }
}

TEST_F(ATlsConnection, ReportsTheTokensOwnError) {
  for (const TlsVersion tls : {TlsVersion::tls_1_2, TlsVersion::tls_1_3}) {
    auto spec = server_spec();
    spec.tls = tls;
    const EstServer server(std::move(spec));
    device.key.hardware.fail_all({.code = Errc::token_locked_out,
                                  .retry = Retry::later,
                                  .what = "the token refuses authorizations for now",
                                  .reason = "0x921",
                                  .hint = "wait"});
    const Error error = error_of(session_spec(server, device));
    EXPECT_EQ(error.code, Errc::token_locked_out) << error.sentence();
    EXPECT_EQ(error.retry, Retry::later);
    EXPECT_EQ(error.reason, "0x921");

    device.key.hardware.recover();
    EXPECT_TRUE(need(Session::create(session_spec(server, device)))->ca_certificates());
  }
}

TEST_F(ATlsConnection, SaysThatNoCertificateWasUsed) {
  auto spec = server_spec();
  spec.client_auth = ClientAuth::ignore;
  const EstServer server(std::move(spec));
  Key new_key(KeyAlgorithm::ec_p256);
  const auto session = need(Session::create(session_spec(server, device)));
  const auto answer = session->simple_enroll(request_of(new_key.signing_key()));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
  EXPECT_TRUE(answer.error().hint.starts_with("no client certificate was used")) << answer.error().hint;
}

TEST_F(ATlsConnection, SaysNoSuchThingWhenOneWasUsed) {
  const EstServer server(server_spec());
  Key new_key(KeyAlgorithm::ec_p256);
  const auto session = need(Session::create(session_spec(server, device)));
  const auto answer = session->simple_reenroll(request_of(new_key.signing_key()));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
  EXPECT_EQ(answer.error().hint.find("no client certificate"), std::string::npos) << answer.error().hint;
}

TEST_F(ATlsConnection, SendsTheClientsIntermediates) {
  auto& pki = Cas::instance().pki;
  pki.make_ca("manufacturer line 7", "manufacturer");
  Device built(KeyAlgorithm::ec_p256, "manufacturer line 7");
  const EstServer server(server_spec());
  Key new_key(KeyAlgorithm::ec_p256);
  auto spec = session_spec(server, built);
  spec.client->chain = certificates(pki.ca("manufacturer line 7").certificate_pem);
  const auto answer = need(Session::create(std::move(spec)))->simple_enroll(request_of(new_key.signing_key()));
  EXPECT_TRUE(answer) << answer.error().sentence();
}

TEST_F(ATlsConnection, NeedsTheKeyOfTheCertificate) {
  const EstServer server(server_spec());
  const Device another;
  auto spec = session_spec(server, device);
  spec.client->certificate = another.certificate;
  const Error error = error_of(std::move(spec));
  EXPECT_EQ(error.code, Errc::tls_failed);
  EXPECT_NE(error.what.find("cannot use the key of the client certificate"), std::string::npos) << error.what;
}

TEST_F(ATlsConnection, IsNotMadeWhereNobodyListens) {
  auto server = std::make_unique<EstServer>(server_spec());
  auto spec = session_spec(*server, device);
  server.reset();
  const Error error = error_of(std::move(spec));
  EXPECT_EQ(error.code, Errc::network_unreachable) << error.sentence();
  EXPECT_EQ(error.retry, Retry::later);
  EXPECT_FALSE(error.hint.empty());
}

TEST_F(ATlsConnection, IsNotMadeToAHostThatNobodyKnows) {
  const EstServer server(server_spec());
  auto spec = session_spec(server, device);
  spec.endpoint = need(Endpoint::parse("https://nonexistent.invalid"));
  const Error error = error_of(std::move(spec));
  EXPECT_EQ(error.code, Errc::network_unreachable) << error.sentence();
  EXPECT_NE(error.what.find("cannot be resolved"), std::string::npos) << error.what;
}

}  // namespace
}  // namespace devid::est::test
