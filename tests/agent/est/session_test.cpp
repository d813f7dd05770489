#include "agent/est/session.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <string>

#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::TlsVersion;

struct Combination {
  std::string name;
  TlsVersion tls;
  KeyAlgorithm algorithm;
};

std::ostream& operator<<(std::ostream& out, const Combination& combination) { return out << combination.name; }

class AnEnrollment : public testing::TestWithParam<Combination> {};

INSTANTIATE_TEST_SUITE_P(, AnEnrollment,
                         testing::Values(Combination{"Tls12WithP256", TlsVersion::tls_1_2, KeyAlgorithm::ec_p256},
                                         Combination{"Tls12WithP384", TlsVersion::tls_1_2, KeyAlgorithm::ec_p384},
                                         Combination{"Tls12WithRsa2048", TlsVersion::tls_1_2, KeyAlgorithm::rsa_2048},
                                         Combination{"Tls13WithP256", TlsVersion::tls_1_3, KeyAlgorithm::ec_p256},
                                         Combination{"Tls13WithP384", TlsVersion::tls_1_3, KeyAlgorithm::ec_p384},
                                         Combination{"Tls13WithRsa2048", TlsVersion::tls_1_3, KeyAlgorithm::rsa_2048}),
                         [](const auto& combination) { return combination.param.name; });

TEST_P(AnEnrollment, TakesOneConnectionOneHandshakeAndOneSignature) {
  auto spec = server_spec();
  spec.tls = GetParam().tls;
  const EstServer server(std::move(spec));
  Device device(GetParam().algorithm);
  Key new_key(GetParam().algorithm);
  const auto session = need(Session::create(session_spec(server, device)));

  const auto authorities = need(session->ca_certificates());
  const auto attributes = need(session->csr_attributes());
  const auto enrollment = need(session->simple_enroll(request_of(new_key.signing_key())));

  ASSERT_EQ(authorities.size(), 2U);
  EXPECT_EQ(authorities[0].subject(), "CN=issuing");
  EXPECT_EQ(authorities[1].subject(), "CN=operator");
  EXPECT_TRUE(attributes.empty());
  ASSERT_TRUE(std::holds_alternative<Issued>(enrollment));
  const auto& issued = std::get<Issued>(enrollment).certificates;
  ASSERT_EQ(issued.size(), 1U);
  EXPECT_EQ(issued[0].pem(), server.issued().at(0));
  EXPECT_EQ(need(issued[0].public_key()), new_key.signing_key().public_key());

  std::cout << "[ numbers  ] TCP connections " << server.connections() << ", TLS handshakes " << server.handshakes()
            << ", signatures of the IDevID " << device.key.signing_key().signatures() << "\n";
  EXPECT_EQ(session->connections(), 1U);
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(server.handshakes(), 1U);
  EXPECT_EQ(device.key.signing_key().signatures(), 1U);
  for (const auto& request : server.requests()) {
    EXPECT_EQ(request.tls_version, GetParam().tls == TlsVersion::tls_1_2 ? "TLSv1.2" : "TLSv1.3");
    EXPECT_NE(request.client.find("IDevID"), std::string::npos);
  }
}

TEST_P(AnEnrollment, IsFollowedByARenewalWithTheCertificateThatItBrought) {
  auto spec = server_spec();
  spec.tls = GetParam().tls;
  EstServer server(std::move(spec));
  Device device(GetParam().algorithm);
  Key first_key(GetParam().algorithm);
  Key second_key(GetParam().algorithm);
  const auto enrolling = need(Session::create(session_spec(server, device)));
  const auto enrollment = need(enrolling->simple_enroll(request_of(first_key.signing_key())));
  server.forget();

  auto spec_of_renewal = session_spec(server, device);
  spec_of_renewal.client = ClientCredential{
      .certificate = std::get<Issued>(enrollment).certificates.at(0), .chain = {}, .key = &first_key.signing_key()};
  const unsigned signatures = first_key.signing_key().signatures();
  const auto renewing = need(Session::create(std::move(spec_of_renewal)));
  static_cast<void>(need(renewing->ca_certificates()));
  const auto renewal = need(renewing->simple_reenroll(request_of(second_key.signing_key())));

  ASSERT_TRUE(std::holds_alternative<Issued>(renewal));
  EXPECT_EQ(need(std::get<Issued>(renewal).certificates.at(0).public_key()), second_key.signing_key().public_key());
  EXPECT_EQ(renewing->connections(), 1U);
  EXPECT_EQ(server.connections(), 1U);
  EXPECT_EQ(server.handshakes(), 1U);
  EXPECT_EQ(first_key.signing_key().signatures() - signatures, 1U);
  EXPECT_EQ(server.requests().at(1).client, "CN=gateway,O=Example");
}

class ASession : public testing::Test {
 protected:
  std::unique_ptr<Session> session(const std::string& path = {}) {
    return need(Session::create(session_spec(server, device, path)));
  }
  Bytes csr() { return request_of(new_key.signing_key()); }

  EstServer server{server_spec()};
  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
};

TEST_F(ASession, SendsTheSafeRequest) {
  static_cast<void>(need(session()->simple_enroll(csr())));
  const auto request = server.requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_EQ(request.target, "/.well-known/est/simpleenroll");
  EXPECT_EQ(request.header("host"), "127.0.0.1:" + std::to_string(server.port()));
  EXPECT_EQ(request.header("content-type"), "application/pkcs10");
  EXPECT_EQ(request.header("content-transfer-encoding"), "base64");
  EXPECT_EQ(request.header("content-length"), std::to_string(request.body.size()));
  EXPECT_EQ(request.header("accept"), "application/pkcs7-mime");
  EXPECT_EQ(request.header("user-agent"), "devid/" DEVID_VERSION);
  EXPECT_EQ(request.header("transfer-encoding"), std::nullopt);
  EXPECT_EQ(request.header("expect"), std::nullopt);
  EXPECT_EQ(request.body.find("-----"), std::string::npos);
  EXPECT_EQ(request.body.find("\r\n"), 64U);
}

TEST_F(ASession, AsksWithoutABody) {
  const auto asking = session();
  static_cast<void>(need(asking->simple_enroll(csr())));
  static_cast<void>(need(asking->ca_certificates()));
  const auto request = server.requests().at(1);
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/.well-known/est/cacerts");
  EXPECT_EQ(request.header("content-type"), std::nullopt);
  EXPECT_EQ(request.header("content-length"), std::nullopt);
  EXPECT_TRUE(request.body.empty());
}

TEST_F(ASession, UsesTheLabelOfTheEndpoint) {
  auto spec = server_spec();
  spec.label = "line-7";
  const EstServer labelled(std::move(spec));
  const auto with = need(Session::create(session_spec(labelled, device, "/.well-known/est/line-7")));
  EXPECT_TRUE(with->ca_certificates());
  const auto without = need(Session::create(session_spec(labelled, device)));
  const auto answer = without->ca_certificates();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_refused);
}

TEST_F(ASession, ReturnsTheCsrAttributesAsDer) {
  auto spec = server_spec();
  spec.csr_attributes = {std::byte{0x30}, std::byte{0x03}, std::byte{0x06}, std::byte{0x01}, std::byte{0x2a}};
  const Bytes expected = spec.csr_attributes;
  EstServer asking(std::move(spec));
  EXPECT_EQ(need(need(Session::create(session_spec(asking, device)))->csr_attributes()), expected);
  for (const std::string name : {"trailing-nul", "chunked", "http-1.0", "no-transfer-encoding", "one-line"}) {
    asking.misbehave(EstOperation::csrattrs, devid::test::misbehaviour(name), 1);
    EXPECT_EQ(need(need(Session::create(session_spec(asking, device)))->csr_attributes()), expected) << name;
  }
}

TEST_F(ASession, FindsNoCsrAttributesWhereTheServerHasNone) {
  for (const unsigned status : {204U, 404U, 501U}) {
    server.misbehave(EstOperation::csrattrs, {.status = status}, 1);
    EXPECT_TRUE(need(session()->csr_attributes()).empty()) << status;
  }
}

TEST_F(ASession, OpensAnotherConnectionWhereTheServerClosesTheFirst) {
  server.misbehave(EstOperation::cacerts, devid::test::misbehaviour("http-1.0"));
  const auto enrolling = session();
  static_cast<void>(need(enrolling->ca_certificates()));
  static_cast<void>(need(enrolling->simple_enroll(csr())));
  EXPECT_EQ(enrolling->connections(), 2U);
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(ASession, IgnoresTheProxiesOfTheEnvironment) {
  ASSERT_EQ(::setenv("https_proxy", "http://127.0.0.1:1", 1), 0);
  ASSERT_EQ(::setenv("ALL_PROXY", "socks5h://127.0.0.1:1", 1), 0);
  EXPECT_TRUE(session()->ca_certificates());
  ::unsetenv("https_proxy");
  ::unsetenv("ALL_PROXY");
}

TEST_F(ASession, FollowsARedirectWithinTheOrigin) {
  server.misbehave(EstOperation::cacerts, {.status = 302, .location = "/.well-known/est/moved/cacerts"}, 1);
  server.misbehave(EstOperation::simpleenroll, {.status = 307, .location = "moved/simpleenroll"}, 1);
  const auto enrolling = session();
  EXPECT_EQ(need(enrolling->ca_certificates()).size(), 2U);
  EXPECT_TRUE(std::holds_alternative<Issued>(need(enrolling->simple_enroll(csr()))));
  EXPECT_EQ(server.requests().at(1).target, "/.well-known/est/moved/cacerts");
  EXPECT_EQ(server.requests().at(3).target, "/.well-known/est/moved/simpleenroll");
  EXPECT_EQ(server.requests().at(3).method, "POST");
  EXPECT_EQ(server.connections(), 1U);
}

TEST_F(ASession, FollowsNoMoreThanThreeRedirects) {
  server.misbehave(EstOperation::cacerts, {.status = 307, .location = "/.well-known/est/cacerts"});
  const auto answer = session()->ca_certificates();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_protocol);
  EXPECT_EQ(server.requests().size(), 4U);
}

TEST_F(ASession, FollowsNoRedirectToAnotherServer) {
  const EstServer other(server_spec());
  server.misbehave(EstOperation::simpleenroll,
                   {.status = 307, .location = other.url() + "/.well-known/est/simpleenroll"});
  const auto answer = session()->simple_enroll(csr());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_protocol);
  EXPECT_NE(answer.error().reason.find(other.url()), std::string::npos);
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ASession, CannotBeMadeWithoutTrustAnchors) {
  auto spec = session_spec(server, device);
  spec.anchors.clear();
  const auto made = Session::create(std::move(spec));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::config_invalid);
}

}  // namespace
}  // namespace devid::est::test
