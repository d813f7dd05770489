#include <gtest/gtest.h>

#include <string>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::EstLogin;
using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::EstServerSpec;
using devid::test::TlsVersion;

/// A server that compares the binding of each request with that of its own end.
class ABoundRequest : public testing::Test {
 protected:
  static EstServerSpec demanding(TlsVersion tls = TlsVersion::any) {
    auto spec = server_spec();
    spec.tls = tls;
    spec.demand_binding = true;
    return spec;
  }
  SessionSpec bound(const EstServer& server, BindingKind kind) {
    auto spec = session_spec(server, device);
    spec.binding = kind;
    return spec;
  }
  static void expect_issued(const Result<Enrollment>& answer) {
    ASSERT_TRUE(answer) << answer.error().sentence() << " hint: " << answer.error().hint;
    EXPECT_TRUE(std::holds_alternative<Issued>(*answer));
  }

  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
  Requests requests{new_key.signing_key()};
};

TEST_F(ABoundRequest, HasTheBindingOfTheConnectionThatCarriesIt) {
  for (const auto& [tls, kind] :
       {std::pair(TlsVersion::tls_1_2, BindingKind::tls_unique), std::pair(TlsVersion::any, BindingKind::tls_unique),
        std::pair(TlsVersion::tls_1_2, BindingKind::tls_exporter),
        std::pair(TlsVersion::tls_1_3, BindingKind::tls_exporter)}) {
    const EstServer server(demanding(tls));
    requests.bindings.clear();
    const auto session = need(Session::create(bound(server, kind)));
    static_cast<void>(need(session->ca_certificates()));
    expect_issued(session->simple_enroll(requests.source()));
    EXPECT_EQ(session->connections(), 1U);
    ASSERT_EQ(requests.bindings.size(), 1U);
    EXPECT_EQ(requests.bindings[0]->size(), kind == BindingKind::tls_unique ? 16U : 44U) << "base64 of 12 or 32 octets";
  }
}

TEST_F(ABoundRequest, IsMadeAfterTheHandshakeOfAnotherConnectionWhereTheServerClosesEach) {
  EstServer server(demanding());
  for (const auto operation : {EstOperation::cacerts, EstOperation::csrattrs})
    server.misbehave(operation, devid::test::misbehaviour("http-1.0"));
  for (const auto kind : {BindingKind::tls_unique, BindingKind::tls_exporter}) {
    server.forget();
    const auto session = need(Session::create(bound(server, kind)));
    static_cast<void>(need(session->ca_certificates()));
    static_cast<void>(need(session->csr_attributes()));
    expect_issued(session->simple_enroll(requests.source()));
    EXPECT_EQ(server.connections(), 3U);
  }
  EXPECT_EQ(requests.bindings.size(), 2U);
}

TEST_F(ABoundRequest, IsMadeAgainWhereTheConnectionHasDiedUnnoticed) {
  EstServer server(demanding());
  for (const auto kind : {BindingKind::tls_unique, BindingKind::tls_exporter}) {
    requests.bindings.clear();
    const auto session = need(Session::create(bound(server, kind)));
    static_cast<void>(need(session->ca_certificates()));
    // The server reads the request, and hangs up without a word: libcurl takes that for a connection that was dead.
    server.misbehave(EstOperation::simpleenroll, devid::test::misbehaviour("cut-at-once"), 1);
    expect_issued(session->simple_enroll(requests.source()));
    EXPECT_EQ(session->connections(), 2U);
    ASSERT_EQ(requests.bindings.size(), 2U);
    EXPECT_NE(requests.bindings[0], requests.bindings[1]);
  }
}

TEST_F(ABoundRequest, IsMadeOnceForTwoRoundsOverOneConnection) {
  auto spec = demanding();
  spec.login = EstLogin{.scheme = EstLogin::Scheme::digest, .user = "device", .password = "word"};
  EstServer server(std::move(spec));
  auto own = bound(server, BindingKind::tls_exporter);
  own.authentication =
      PasswordLogin{.user = "device", .password = secret("word"), .scheme = PasswordLogin::Scheme::any};
  expect_issued(need(Session::create(std::move(own)))->simple_enroll(requests.source()));
  EXPECT_EQ(requests.bindings.size(), 1U);
  server.misbehave(EstOperation::simpleenroll, {.status = 307, .location = "moved/simpleenroll"}, 1);
  own = bound(server, BindingKind::tls_exporter);
  own.authentication =
      PasswordLogin{.user = "device", .password = secret("word"), .scheme = PasswordLogin::Scheme::any};
  expect_issued(need(Session::create(std::move(own)))->simple_enroll(requests.source()));
  EXPECT_EQ(requests.bindings.size(), 2U);
}

TEST_F(ABoundRequest, TakesAConnectionOfTls12IfOnlyThatHasTheBinding) {
  EstServer server(demanding());
  const auto session = need(Session::create(session_spec(server, device)));
  EXPECT_EQ(session->tls_version(), std::nullopt);
  static_cast<void>(need(session->ca_certificates()));
  EXPECT_EQ(session->tls_version(), TlsOptions::Version::tls_1_3);
  session->bind(BindingKind::tls_unique);
  expect_issued(session->simple_enroll(requests.source()));
  EXPECT_EQ(session->tls_version(), TlsOptions::Version::tls_1_2);
  static_cast<void>(need(session->ca_certificates()));
  EXPECT_EQ(session->tls_version(), TlsOptions::Version::tls_1_2);
  EXPECT_EQ(session->connections(), 2U);
  EXPECT_EQ(server.requests().at(1).tls_version, "TLSv1.2");
}

TEST_F(ABoundRequest, StaysOnAConnectionThatHasTheBinding) {
  for (const auto& [tls, kind] : {std::pair(TlsVersion::tls_1_2, BindingKind::tls_unique),
                                  std::pair(TlsVersion::tls_1_3, BindingKind::tls_exporter)}) {
    const EstServer server(demanding(tls));
    const auto session = need(Session::create(session_spec(server, device)));
    static_cast<void>(need(session->ca_certificates()));
    session->bind(kind);
    expect_issued(session->simple_enroll(requests.source()));
    EXPECT_EQ(session->connections(), 1U);
  }
}

TEST_F(ABoundRequest, CannotBeMadeWhereTls13IsWanted) {
  const EstServer server(demanding());
  auto spec = bound(server, BindingKind::tls_unique);
  spec.tls.minimum = TlsOptions::Version::tls_1_3;
  const auto answer = need(Session::create(std::move(spec)))->simple_enroll(requests.source());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::config_invalid) << answer.error().sentence();
  EXPECT_EQ(server.handshakes(), 0U);
}

TEST_F(ABoundRequest, IsMissedByAServerThatWantsIt) {
  const EstServer server(demanding());
  const auto answer = need(Session::create(session_spec(server, device)))->simple_enroll(requests.source());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
  EXPECT_NE(answer.error().reason.find("proof of possession"), std::string::npos);
  EXPECT_NE(answer.error().hint.find("set channel_binding"), std::string::npos) << answer.error().hint;
  EXPECT_EQ(requests.bindings, std::vector<std::optional<std::string>>{std::nullopt});
}

TEST_F(ABoundRequest, ThatIsBoundToAnotherConnectionIsHintedAt) {
  const EstServer server(demanding(TlsVersion::tls_1_2));
  const auto elsewhere = request_of(new_key.signing_key());  // as if somebody between had made the connection anew
  for (const auto kind : {BindingKind::tls_unique, BindingKind::tls_exporter}) {
    const auto answer = need(Session::create(bound(server, kind)))->simple_enroll(elsewhere);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
    EXPECT_NE(answer.error().hint.find("load balancer"), std::string::npos) << answer.error().hint;
  }
}

TEST_F(ABoundRequest, LetsItsSourceSayWhyItCannotBeMade) {
  EstServer server(demanding());
  const CsrSource failing{.most_bytes = 1000, .make = [](const auto&) -> Result<Bytes> {
                            return fail({.code = Errc::token_locked_out, .retry = Retry::later, .what = "not now"});
                          }};
  for (const std::optional<BindingKind> kind :
       {std::optional<BindingKind>(), std::optional(BindingKind::tls_exporter)}) {
    auto spec = session_spec(server, device);
    spec.binding = kind;
    const auto session = need(Session::create(std::move(spec)));
    const auto answer = session->simple_enroll(failing);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::token_locked_out) << answer.error().sentence();
    EXPECT_TRUE(session->ca_certificates()) << "the session goes on";
  }
}

}  // namespace
}  // namespace devid::est::test
