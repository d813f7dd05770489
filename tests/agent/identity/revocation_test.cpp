// Certificates that their CA has taken back, by real OCSP responses and CRLs: the device's own, and the EST server's.

#include <gmock/gmock.h>

#include <fstream>
#include <optional>

#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"
#include "tests/support/http_server.h"
#include "tests/support/test_revocation.h"

namespace devid::test {
namespace {

using identity::State;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

/// How a CA says what it has revoked.
enum class Means { ocsp, crl };

/// A CA "operator" with a responder and a list, each at its place on the web, and an EST server.
class ACaThatRevokes : public Site {
 protected:
  ACaThatRevokes() {
    pki_.make_ca("operator");
    ca_.emplace(pki_, "operator");
    web_.serve("/ocsp", {.media_type = "application/ocsp-response",
                         .answer = [this](const HttpRequest& request) { return ca_->ocsp(request.body); }});
    publish();
  }

  /// What the list says from now on.
  void publish() { web_.serve("/crl", {.media_type = "application/pkix-crl", .body = ca_->crl()}); }
  void revoke(const TestCredential& certificate) {
    ca_->revoke(certificate);
    publish();
  }
  /// Starts the server, which issues certificates that name these.
  void serve(const TestCredential& certificate, const std::vector<Means>& means = {}) {
    const std::uint16_t port = server_->port();
    server_.reset();
    EstIssuer::Spec issuer{.certificate = pki_.ca("operator").certificate, .key = pki_.ca("operator").key};
    for (const Means each : means) (each == Means::ocsp ? issuer.ocsp : issuer.crl) = url(each);
    server_ = std::make_unique<EstServer>(EstServerSpec{.certificate = certificate.full_chain,
                                                        .key = certificate.key,
                                                        .manufacturer_ca = Authorities::get().manufacturer.certificate,
                                                        .issuer = issuer,
                                                        .port = port});
  }
  [[nodiscard]] std::string url(Means means) const { return web_.url(means == Means::ocsp ? "/ocsp" : "/crl"); }
  /// The profile, with a policy for the server's certificate and the rest of it.
  void write_gateway(const std::string& policy, const std::string& more = {}) {
    write_file(etc() / "identities.d/gateway.toml",
               "[server]\nurl = \"" + server_->url("localhost") + "\"\ntrust_anchors = \"" +
                   pki_.ca("operator").certificate.string() + "\"\nrevocation = \"" + policy + "\"\n" + idevid_ + more +
                   (more.ends_with("enroll_again = false\n") ? "" : "[renewal]\n") + "prove = false\n");
    load();
  }
  [[nodiscard]] std::vector<std::string> asked() const {
    std::vector<std::string> all;
    for (const auto& request : web_.requests()) all.push_back(request.target);
    return all;
  }
  void expect_failure(JobKind kind, Errc code, const std::string& text) {
    const auto before = current_files();
    const auto result = run(kind);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(code_name(result.error().code), code_name(code)) << result.error().sentence();
    EXPECT_THAT(result.error().sentence(), HasSubstr(text));
    EXPECT_EQ(current_files(), before);
  }

  TestPki pki_;
  std::optional<TestRevocation> ca_;
  HttpServer web_;
};

// --- the device's own certificate ---

/// Enrolled, and the CA has an opinion on its certificate since.
class AnEnrolledDevice : public ACaThatRevokes, public testing::WithParamInterface<Means> {
 protected:
  void enroll_with(const std::string& policy, const std::string& more = {}) {
    serve(pki_.issue_server("operator"), {GetParam()});
    write_gateway("soft", "[certificate]\nrevocation = \"" + policy + "\"\n" + more);
    enroll();
    server_->forget();
    web_.forget();
  }
  /// The certificate that was issued last, as a file.
  TestCredential current_certificate() {
    return {.certificate = std::filesystem::canonical(directory() / "current/certificate.pem")};
  }
  /// Its responder, or its list, is out of order.
  void break_web() {
    web_.serve("/ocsp", {.status = 503});
    web_.remove("/crl");
  }
};

TEST_P(AnEnrolledDevice, IsEnrolledAfreshInTheSameJobOnceItsCertificateIsRevoked) {
  enroll_with("soft");
  const auto before = current_files();
  revoke(current_certificate());
  const auto looked = run(JobKind::refresh);
  ASSERT_TRUE(looked) << looked.error().sentence();
  EXPECT_EQ(*looked, JobResult::done);
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_NE(current_files().at("certificate.pem"), before.at("certificate.pem"));
  EXPECT_NE(current_files().at("token-key.pem"), before.at("token-key.pem"));
  expect_usable_current();
  ASSERT_EQ(posted().size(), 1U);
  EXPECT_THAT(server_->requests().back().target, HasSubstr("/simpleenroll"));
  EXPECT_EQ(server_->requests().back().client, "serialNumber=SN-17,O=Maker") << "the IDevID's";
  EXPECT_THAT(observer_.phases, ElementsAre("connecting", "ca-certificates", "connecting", "ca-certificates",
                                            "creating-key", "requesting", "verifying", "installing"));
  EXPECT_THAT(
      observer_.notices,
      Contains(testing::AllOf(
          Field(&Notice::sentence, HasSubstr("enrolls anew with the IDevID: ")),
          Field(&Notice::sentence, HasSubstr("is revoked")),
          Field(&Notice::fields, ElementsAre(Notice::Field{.name = "DEVID_ERROR", .value = "CertificateRevoked"})))));

  ca_->know(current_certificate());
  publish();
  ASSERT_TRUE(run(JobKind::refresh)) << "the new one is good";
  EXPECT_EQ(status().generation, 2U);
}

TEST_P(AnEnrolledDevice, StaysAsItIsWhileItsCertificateIsGood) {
  enroll_with("hard");
  ca_->know(current_certificate());
  const auto before = current_files();
  ASSERT_TRUE(run(JobKind::refresh));
  EXPECT_EQ(current_files(), before);
  EXPECT_THAT(asked(), ElementsAre(GetParam() == Means::ocsp ? "/ocsp" : "/crl"));
  EXPECT_THAT(posted(), IsEmpty());
}

TEST_P(AnEnrolledDevice, AsksNobodyWhereThePolicyIsOff) {
  enroll_with("off");
  const auto before = current_files();
  revoke(current_certificate());
  ASSERT_TRUE(run(JobKind::refresh));
  EXPECT_EQ(current_files(), before);
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_P(AnEnrolledDevice, IsContentUnderTheSoftPolicyWhereNobodyAnswers) {
  enroll_with("soft");
  revoke(current_certificate());
  break_web();
  const auto before = current_files();
  ASSERT_TRUE(run(JobKind::refresh));
  EXPECT_EQ(current_files(), before);
  EXPECT_THAT(asked(), Not(IsEmpty()));
}

TEST_P(AnEnrolledDevice, FailsToLookUnderTheHardPolicyWhereNobodyAnswersAndKeepsItsCredential) {
  enroll_with("hard");
  revoke(current_certificate());
  break_web();
  expect_failure(JobKind::refresh, Errc::revocation_unknown,
                 "whether the certificate of serialNumber=SN-17 is revoked");
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_THAT(posted(), IsEmpty());
}

TEST_P(AnEnrolledDevice, SaysThatItIsRevokedWhereItMayNotEnrollAgain) {
  enroll_with("soft", "[renewal]\nenroll_again = false\n");
  revoke(current_certificate());
  expect_failure(JobKind::refresh, Errc::certificate_revoked, "is revoked");
  EXPECT_THAT(posted(), IsEmpty());
  EXPECT_EQ(status().state, State::degraded);
  EXPECT_THAT(status().reason, HasSubstr("its CA has revoked it"));
}

TEST_P(AnEnrolledDevice, EnrollsAtTheNextRunWhereItCouldNotAtOnce) {
  enroll_with("soft");
  revoke(current_certificate());
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503"));
  expect_failure(JobKind::refresh, Errc::server_unavailable, "simpleenroll");
  EXPECT_EQ(status().state, State::degraded);
  EXPECT_EQ(kind_that_helps(), JobKind::enroll);
  load();  // the next devidd knows
  EXPECT_EQ(status().state, State::degraded);
  EXPECT_EQ(kind_that_helps(), JobKind::enroll) << "what is revoked renews nothing";
  server_->behave();
  enroll();
  EXPECT_EQ(status().state, State::valid);
  expect_usable_current();
}

INSTANTIATE_TEST_SUITE_P(Of, AnEnrolledDevice, testing::Values(Means::ocsp, Means::crl),
                         [](const auto& each) { return each.param == Means::ocsp ? "Ocsp" : "Crl"; });

// --- the server's certificate ---

class AServerThatIsRevoked : public ACaThatRevokes, public testing::WithParamInterface<Means> {
 protected:
  AServerThatIsRevoked() {
    const bool by_ocsp = GetParam() == Means::ocsp;
    const std::string where =
        (by_ocsp ? "authorityInfoAccess=OCSP;URI:" : "crlDistributionPoints=URI:") + url(GetParam());
    credential_ = pki_.issue({.issuer = "operator",
                              .subject = "/CN=est",
                              .alternative_names = {"DNS:localhost"},
                              .extended_key_usage = "serverAuth",
                              .more_extensions = {where}});
    serve(pki_.issue_server("operator"));
    write_gateway("soft");
    enroll();
    revoke(credential_);
    serve(credential_);
  }
  /// How often this device has shown who it is, in any handshake.
  [[nodiscard]] unsigned signatures() const { return hardware_.count(Operation::sign); }

  TestCredential credential_;
};

TEST_P(AServerThatIsRevoked, SeesNoCredentialUnderAnyPolicyThatAsks) {
  for (const char* policy : {"hard", "soft"}) {
    SCOPED_TRACE(policy);
    write_gateway(policy);
    for (const JobKind kind : {JobKind::renew, JobKind::refresh}) {
      const unsigned before = signatures();
      expect_failure(kind, Errc::certificate_revoked, "the certificate of CN=est is revoked");
      EXPECT_EQ(signatures(), before) << "the device has signed for nobody";
      EXPECT_THAT(server_->requests(), IsEmpty());
      EXPECT_FALSE(has_request());
      expect_usable_current();
    }
  }
  EXPECT_EQ(hardware_.made_keys(), 1U);
}

TEST_P(AServerThatIsRevoked, IsNotTakenForTheDevicesOwnCertificate) {
  expect_failure(JobKind::refresh, Errc::certificate_revoked, "CN=est");
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(status().generation, 1U);
}

TEST_P(AServerThatIsRevoked, IsUsedWhereThePolicyIsOff) {
  write_gateway("off");
  renew();
  EXPECT_THAT(asked(), IsEmpty());
}

TEST_P(AServerThatIsRevoked, IsNotKnownToBeWhileNobodyAnswers) {
  web_.serve("/ocsp", {.status = 503});
  web_.remove("/crl");
  write_gateway("hard");
  const unsigned before = signatures();
  expect_failure(JobKind::renew, Errc::revocation_unknown, "whether the certificate of CN=est is revoked");
  EXPECT_EQ(signatures(), before);
  EXPECT_THAT(server_->requests(), IsEmpty());
  write_gateway("soft");
  renew();
}

TEST_P(AServerThatIsRevoked, IsPassedOverForTheNextOne) {
  const TestCredential good = pki_.issue_server("operator");
  const EstServer other({.certificate = good.full_chain,
                         .key = good.key,
                         .manufacturer_ca = Authorities::get().manufacturer.certificate,
                         .issuer = {.certificate = pki_.ca("operator").certificate, .key = pki_.ca("operator").key}});
  write_file(etc() / "identities.d/gateway.toml", "[server]\nurls = [\"" + server_->url("localhost") + "\", \"" +
                                                      other.url("localhost") + "\"]\ntrust_anchors = \"" +
                                                      pki_.ca("operator").certificate.string() + "\"\n" + idevid_);
  load();
  renew();
  EXPECT_THAT(server_->requests(), IsEmpty());
  expect_usable_current();
}

INSTANTIATE_TEST_SUITE_P(By, AServerThatIsRevoked, testing::Values(Means::ocsp, Means::crl),
                         [](const auto& each) { return each.param == Means::ocsp ? "Ocsp" : "Crl"; });

}  // namespace
}  // namespace devid::test
