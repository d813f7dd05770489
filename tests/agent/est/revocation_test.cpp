#include "agent/pki/revocation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "agent/est/download.h"
#include "tests/support/certificate_of.h"
#include "tests/support/http_server.h"
#include "tests/support/test_revocation.h"

namespace devid::est {
namespace {

using namespace std::chrono_literals;
using pki::RevocationPolicy;
using test::certificate_of;
using test::HttpRequest;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A root, a CA below it and a server's certificate, each with a real responder and a real CRL.
class AChainWithResponders : public testing::Test {
 protected:
  AChainWithResponders() {
    authority.make_ca("root");
    auto spec = test::TestPki::ca_spec("issuing", "root");
    spec.more_extensions = sources("root");
    intermediate = authority.make_ca("issuing", spec);
    leaf = authority.issue({.issuer = "issuing",
                            .subject = "/CN=est.example",
                            .extended_key_usage = "serverAuth",
                            .more_extensions = sources("issuing")});
    root.emplace(authority, "root");
    issuing.emplace(authority, "issuing");
    root->know(intermediate);
    issuing->know(leaf);
    publish();
  }

  [[nodiscard]] std::vector<std::string> sources(const std::string& ca) const {
    return {"authorityInfoAccess=OCSP;URI:" + web.url("/ocsp/" + ca),
            "crlDistributionPoints=URI:" + web.url("/crl/" + ca)};
  }
  /// What both CAs say now.
  void publish() {
    const auto responder = [](const test::TestRevocation& ca) {
      return [&ca](const HttpRequest& request) { return ca.ocsp(request.body); };
    };
    web.serve("/ocsp/root", {.media_type = "application/ocsp-response", .answer = responder(*root)});
    web.serve("/ocsp/issuing", {.media_type = "application/ocsp-response", .answer = responder(*issuing)});
    web.serve("/crl/root", {.media_type = "application/pkix-crl", .body = root->crl()});
    web.serve("/crl/issuing", {.media_type = "application/pkix-crl", .body = issuing->crl(), .chunked = true});
  }
  void responders_are_down() {
    web.remove("/ocsp/root");
    web.serve("/ocsp/issuing", {.body = std::string("\x30\x03\x0a\x01\x03", 5)});  // tryLater
  }
  void crls_are_down() {
    web.serve("/crl/root", {.status = 503});
    web.serve("/crl/issuing", {.body = issuing->crl(), .cut_after = 50});
  }

  Result<> check(RevocationPolicy policy, const std::string& stapled = {}) {
    web.forget();
    pki::RevocationCache cache(place.path() / "cache");
    return pki::check_revocation(
        {certificate_of(leaf.certificate_pem), certificate_of(intermediate.certificate_pem),
         certificate_of(authority.ca("root").certificate_pem)},
        as_bytes(stapled),
        {.policy = policy, .download = downloader({.time = Seconds(5)}), .cache = cache, .now = SystemClock().now()});
  }
  void expect_passed(RevocationPolicy policy, const std::vector<std::string>& asked) {
    const auto checked = check(policy);
    EXPECT_TRUE(checked) << checked.error().sentence();
    EXPECT_EQ(targets(), asked);
  }
  void expect_failed(RevocationPolicy policy, Errc code, const std::string& text) {
    const auto checked = check(policy);
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(code_name(checked.error().code), code_name(code)) << checked.error().sentence();
    EXPECT_THAT(checked.error().sentence(), HasSubstr(text));
  }
  [[nodiscard]] std::vector<std::string> targets() const {
    std::vector<std::string> all;
    for (const HttpRequest& each : web.requests()) all.push_back(each.target);
    return all;
  }

  test::TestPki authority;
  test::TestCredential intermediate;
  test::TestCredential leaf;
  std::optional<test::TestRevocation> root;
  std::optional<test::TestRevocation> issuing;
  test::HttpServer web;
  test::TemporaryDirectory place;
};

TEST_F(AChainWithResponders, PassesWithOneQuestionForEachCertificateAndThenNone) {
  expect_passed(RevocationPolicy::hard, {"/ocsp/issuing", "/ocsp/root"});
  EXPECT_EQ(web.requests().at(0).method, "POST");
  expect_passed(RevocationPolicy::hard, {});
}

TEST_F(AChainWithResponders, PassesByTheCrlsWhenNoResponderAnswers) {
  responders_are_down();
  expect_passed(RevocationPolicy::hard, {"/ocsp/issuing", "/crl/issuing", "/ocsp/root", "/crl/root"});
  expect_passed(RevocationPolicy::hard, {"/ocsp/issuing", "/ocsp/root"});
}

TEST_F(AChainWithResponders, PassesOnlyUnderTheSoftPolicyWhenNothingAnswers) {
  responders_are_down();
  crls_are_down();
  expect_passed(RevocationPolicy::soft, {"/ocsp/issuing", "/crl/issuing", "/ocsp/root", "/crl/root"});
  expect_failed(RevocationPolicy::hard, Errc::revocation_unknown,
                "whether the certificate of CN=est.example is revoked");
  for (const char* reason :
       {"/ocsp/issuing: what the CA says on revocation cannot be used (the responder answers: trylater)",
        "/crl/issuing: cannot fetch ", "/ocsp/root: cannot fetch ", "(HTTP status 404)", "(HTTP status 503)"})
    EXPECT_THAT(check(RevocationPolicy::hard).error().reason, HasSubstr(reason));
}

TEST_F(AChainWithResponders, FailsUnderEitherPolicyWhenTheLeafIsRevoked) {
  issuing->revoke(leaf, "keyCompromise");
  publish();
  expect_failed(RevocationPolicy::soft, Errc::certificate_revoked, "the certificate of CN=est.example is revoked");
  expect_failed(RevocationPolicy::hard, Errc::certificate_revoked, "keyCompromise, by CN=issuing");
  EXPECT_THAT(targets(), IsEmpty()) << "this too is remembered";
}

TEST_F(AChainWithResponders, FailsUnderEitherPolicyWhenTheIntermediateIsRevoked) {
  root->revoke(intermediate, "CACompromise");
  publish();
  expect_failed(RevocationPolicy::soft, Errc::certificate_revoked, "the certificate of CN=issuing is revoked");
  expect_failed(RevocationPolicy::hard, Errc::certificate_revoked, "cACompromise, by CN=root");
}

TEST_F(AChainWithResponders, FailsByTheCrlWhenTheIntermediateIsRevokedAndNoResponderAnswers) {
  root->revoke(intermediate, "CACompromise");
  publish();
  responders_are_down();
  expect_failed(RevocationPolicy::soft, Errc::certificate_revoked, "the certificate of CN=issuing is revoked");
}

TEST_F(AChainWithResponders, AsksNobodyAboutALeafWithAStapledResponse) {
  const std::string stapled = issuing->ocsp(issuing->ocsp_request(leaf, {"-no_nonce", "-sha256"}));
  const auto checked = check(RevocationPolicy::hard, stapled);
  EXPECT_TRUE(checked) << checked.error().sentence();
  EXPECT_THAT(targets(), ElementsAre("/ocsp/root"));
}

TEST_F(AChainWithResponders, IsAskedOfAgainWhenWhatWasKeptIsDamaged) {
  expect_passed(RevocationPolicy::hard, {"/ocsp/issuing", "/ocsp/root"});
  for (const auto& file : std::filesystem::directory_iterator(place.path() / "cache"))
    std::filesystem::resize_file(file, file.file_size() - 1);
  expect_passed(RevocationPolicy::hard, {"/ocsp/issuing", "/ocsp/root"});
  expect_passed(RevocationPolicy::hard, {});
}

}  // namespace
}  // namespace devid::est
