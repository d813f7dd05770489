#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::EstOperation;
using devid::test::EstServer;
using devid::test::TlsVersion;

/// What a check of the server was shown.
struct Shown {
  unsigned calls = 0;
  std::vector<std::string> subjects;
  Bytes stapled;
  unsigned signatures = 0;  ///< that the IDevID had made before
};

class ACheckOfTheServer : public testing::TestWithParam<TlsVersion> {
 protected:
  devid::test::EstServerSpec chained() const {
    static const auto credential = Cas::instance().pki.issue_server("issuing");
    auto spec = server_spec();
    spec.certificate = credential.full_chain;
    spec.key = credential.key;
    spec.tls = GetParam();
    return spec;
  }
  SessionSpec checking(const EstServer& server, const Result<>& verdict = {}) {
    auto spec = session_spec(server, device);
    spec.check_server = [this, verdict](const std::vector<pki::Certificate>& chain, BytesView stapled) -> Result<> {
      ++shown.calls;
      shown.subjects.clear();
      for (const auto& certificate : chain) shown.subjects.push_back(certificate.subject());
      shown.stapled = to_bytes(stapled);
      shown.signatures = device.key.signing_key().signatures();
      return verdict;
    };
    return spec;
  }

  Device device;
  Shown shown;
};

INSTANTIATE_TEST_SUITE_P(, ACheckOfTheServer, testing::Values(TlsVersion::tls_1_2, TlsVersion::tls_1_3),
                         [](const auto& version) { return version.param == TlsVersion::tls_1_2 ? "Tls12" : "Tls13"; });

TEST_P(ACheckOfTheServer, SeesTheChainBeforeTheDeviceShowsWhoItIs) {
  const EstServer server(chained());
  const auto session = need(Session::create(checking(server)));
  EXPECT_TRUE(session->ca_certificates());
  EXPECT_TRUE(session->csr_attributes());
  EXPECT_EQ(shown.calls, 1U);
  EXPECT_EQ(shown.subjects, (std::vector<std::string>{"CN=localhost", "CN=issuing", "CN=operator"}));
  EXPECT_TRUE(shown.stapled.empty());
  EXPECT_EQ(shown.signatures, 0U);
  EXPECT_EQ(device.key.signing_key().signatures(), 1U);
}

TEST_P(ACheckOfTheServer, SeesTheStapledResponse) {
  auto spec = chained();
  spec.stapled = Bytes(300, std::byte{0x30});
  const EstServer server(std::move(spec));
  EXPECT_TRUE(need(Session::create(checking(server)))->ca_certificates());
  EXPECT_EQ(shown.stapled, Bytes(300, std::byte{0x30}));
}

TEST_P(ACheckOfTheServer, EndsTheHandshakeWithItsOwnErrorAndNothingShown) {
  const EstServer server(chained());
  const Error revoked{.code = Errc::certificate_revoked, .retry = Retry::after_operator, .what = "it was taken back"};
  auto spec = checking(server, fail(revoked));
  spec.authentication =
      PasswordLogin{.user = "device", .password = secret("word"), .scheme = PasswordLogin::Scheme::basic};
  const auto session = need(Session::create(std::move(spec)));
  for (int i = 0; i < 2; ++i) {
    const auto answer = session->ca_certificates();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::certificate_revoked) << answer.error().sentence();
  }
  EXPECT_EQ(shown.calls, 2U);
  EXPECT_EQ(device.key.signing_key().signatures(), 0U);
  EXPECT_EQ(server.handshakes(), 0U);
}

TEST_P(ACheckOfTheServer, IsNotAskedAboutAChainThatDoesNotVerify) {
  const EstServer server(chained());
  auto spec = checking(server);
  spec.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  EXPECT_EQ(need(Session::create(std::move(spec)))->ca_certificates().error().code, Errc::tls_untrusted);
  EXPECT_EQ(shown.calls, 0U);
}

TEST_P(ACheckOfTheServer, IsAskedForEachConnection) {
  EstServer server(chained());
  server.misbehave(EstOperation::cacerts, devid::test::misbehaviour("http-1.0"));
  const auto session = need(Session::create(checking(server)));
  EXPECT_TRUE(session->ca_certificates());
  EXPECT_TRUE(session->ca_certificates());
  EXPECT_EQ(shown.calls, 2U);
}

TEST_P(ACheckOfTheServer, MayBeFollowedByTheSystemsTrustIfTheProfileSaysSo) {
  const EstServer server(chained());
  ASSERT_EQ(::setenv("SSL_CERT_FILE", Cas::instance().pki.ca("operator").certificate.c_str(), 1), 0);
  auto spec = session_spec(server, device);
  spec.anchors.clear();
  spec.system_anchors = true;
  const auto answer = need(Session::create(std::move(spec)))->ca_certificates();
  ::unsetenv("SSL_CERT_FILE");
  EXPECT_TRUE(answer) << answer.error().sentence();
}

TEST_P(ACheckOfTheServer, ComesAfterWhatTheOptionsOfTlsAllow) {
  const EstServer server(chained());
  auto spec = checking(server);
  spec.tls = {.cipher_list = "ECDHE-ECDSA-AES256-GCM-SHA384",
              .cipher_suites = "TLS_AES_256_GCM_SHA384",
              .groups = "P-384:P-256"};
  EXPECT_TRUE(need(Session::create(std::move(spec)))->ca_certificates());
  auto newest = checking(server);
  newest.tls.minimum = TlsOptions::Version::tls_1_3;
  const auto answer = need(Session::create(std::move(newest)))->ca_certificates();
  EXPECT_EQ(answer.has_value(), GetParam() == TlsVersion::tls_1_3);
  if (!answer) {
    EXPECT_EQ(answer.error().code, Errc::tls_failed) << answer.error().sentence();
  }
  auto wrong = checking(server);
  wrong.tls.groups = "no-such-group";
  EXPECT_EQ(Session::create(std::move(wrong)).error().code, Errc::config_invalid);
}

}  // namespace
}  // namespace devid::est::test
