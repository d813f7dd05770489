// The real devidd against libest's EST server: TLS 1.2, HTTP/1.0, a connection for each request.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <net/if.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "base/owned.h"
#include "tests/interop/libest_site.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

std::string subject_of(const std::filesystem::path& certificate) {
  return output_of({.argv = {"openssl", "x509", "-in", certificate, "-noout", "-subject"}});
}

std::string key_of(const std::filesystem::path& certificate) {
  return output_of({.argv = {"openssl", "x509", "-in", certificate, "-noout", "-pubkey"}});
}

std::int64_t now() { return SystemClock().now().time_since_epoch().count(); }

class ADeviceAtLibest : public ::testing::TestWithParam<InteropToken> {
 protected:
  [[nodiscard]] Device& device() { return site_.device(); }
  [[nodiscard]] LibestServer& server() { return site_.server(); }
  [[nodiscard]] static InteropRow row(const std::string& what) {
    return {LibestServer::name(), what, name_of(GetParam())};
  }
  /// What was said, for a failure's message.
  [[nodiscard]] std::string told(const Outcome& outcome) {
    return outcome.output + outcome.errors + device().bus().log() + server().log();
  }

  LibestSite site_{GetParam()};
};

TEST_P(ADeviceAtLibest, EnrollsByItsIdevidCertificate) {
  const auto row = this->row("enroll by IDevID certificate");
  site_.serve();
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  EXPECT_EQ(site_.flaw_of_credential(), "");
  EXPECT_THAT(server().requests(), ElementsAre("GET cacerts", "GET csrattrs", "POST simpleenroll"));
  EXPECT_EQ(server().issued(), 1U);
}

TEST_P(ADeviceAtLibest, RenewsByItsLdevidCertificateWithANewKey) {
  const auto row = this->row("re-enroll by LDevID certificate, new key");
  site_.serve();
  ASSERT_EQ(device().ctl({"enroll", "gateway"}).status, 0) << server().log();
  const auto first = std::filesystem::canonical(device().current()) / "certificate.pem";
  const auto renewed = device().ctl({"renew", "gateway"});
  ASSERT_EQ(renewed.status, 0) << told(renewed);
  const auto second = device().current() / "certificate.pem";
  EXPECT_EQ(device().status()["generation"], 2);
  EXPECT_EQ(site_.flaw_of_credential(), "");
  EXPECT_EQ(subject_of(first), subject_of(second));
  EXPECT_NE(key_of(first), key_of(second));
  EXPECT_THAT(server().requests(), ElementsAre("GET cacerts", "GET csrattrs", "POST simpleenroll",  //
                                               "GET cacerts", "GET csrattrs", "POST simplereenroll"));
}

TEST_P(ADeviceAtLibest, EnrollsWhereACertificateIsTheOnlyWay) {
  const auto row = this->row("enroll, certificate only");
  site_.serve({.client = LibestClient::has_certificate});
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  EXPECT_EQ(site_.flaw_of_credential(), "");
}

TEST_P(ADeviceAtLibest, WaitsForAnApprovalAndPresentsTheSameRequestAgain) {
  const auto row = this->row("202 and Retry-After, then granted");
  constexpr unsigned retry_after = 600;
  site_.serve({.approval_after = retry_after});
  const auto before = now();
  const auto asked = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(asked.status, 5) << "it is pending: " << told(asked);
  const auto status = device().status();
  EXPECT_EQ(status["state"], "pending");
  EXPECT_GE(status["next_attempt"].get<std::int64_t>(), before + retry_after);
  EXPECT_LE(status["next_attempt"].get<std::int64_t>(), now() + retry_after + retry_after / 10);
  EXPECT_EQ(device().ctl({"run-due"}).output, "nothing is due\n");
  EXPECT_EQ(server().issued(), 0U);

  // It knows a request by the public key: what it grants now is the request that it knows.
  const auto granted = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(granted.status, 0) << told(granted);
  EXPECT_EQ(server().issued(), 1U);
  EXPECT_EQ(site_.flaw_of_credential(), "");
  EXPECT_EQ(device().status()["state"], "valid");
}

TEST_P(ADeviceAtLibest, TellsTheOperatorWhyItsRequestWasRefused) {
  const auto row = this->row("400 with a text (--enforce-csr)");
  site_.serve({.own_csr_attributes = true, .demands_csr_attributes = true});
  const auto refused = device().ctl({"enroll", "gateway"});
  EXPECT_EQ(refused.status, 1) << told(refused);
  EXPECT_THAT(refused.errors, HasSubstr("CSR Attributes missing in request."));
  EXPECT_THAT(device().status()["last_error"].dump(), HasSubstr("CSR Attributes missing in request."));
  EXPECT_EQ(server().issued(), 0U);
  EXPECT_FALSE(std::filesystem::exists(device().current()));
}

TEST_P(ADeviceAtLibest, KeepsWhatItHasWhileItsServerWantsAPasswordThatNobodyGaveIt) {
  const auto row = this->row("401 at a renewal, credential kept");
  site_.serve();
  ASSERT_EQ(device().ctl({"enroll", "gateway"}).status, 0) << server().log();
  site_.serve({.client = LibestClient::has_password});
  const auto refused = device().ctl({"renew", "gateway"});
  EXPECT_EQ(refused.status, 1) << told(refused);
  EXPECT_THAT(refused.errors, HasSubstr("401"));
  EXPECT_THAT(server().requests(), Contains("POST simplereenroll 401"));
  EXPECT_EQ(device().status()["generation"], 1);
  EXPECT_EQ(site_.flaw_of_credential(), "");
  site_.serve();
  const auto renewed = device().ctl({"renew", "gateway"});
  EXPECT_EQ(renewed.status, 0) << told(renewed);
  EXPECT_EQ(site_.flaw_of_credential(), "");
}

TEST_P(ADeviceAtLibest, ReplacesACertificateThatTheServerKnowsToBeRevoked) {
  const auto row = this->row("certificate revoked at the server (-l)");
  site_.serve();
  ASSERT_EQ(device().ctl({"enroll", "gateway"}).status, 0) << server().log();
  site_.serve({.crls = site_.revoke(device().current() / "certificate.pem")});
  const auto replaced = device().ctl({"renew", "gateway"});
  EXPECT_EQ(replaced.status, 0) << told(replaced);
  EXPECT_THAT(server().log(), HasSubstr("certificate revoked"));
  EXPECT_THAT(device().bus().log(), HasSubstr("enrolls with the IDevID, as the credential cannot be renewed"));
  EXPECT_EQ(device().status()["generation"], 2);
  EXPECT_EQ(site_.flaw_of_credential(), "");
}

TEST_P(ADeviceAtLibest, MakesTheKindOfKeyThatItsServerAsksFor) {
  const auto row = this->row("csrattrs: a P-384 key and SHA-384");
  site_.serve({.own_csr_attributes = true});
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  EXPECT_EQ(device().status()["key_algorithm"], "ec-p384");
}

/// Where the profile says that the password of libest's user is.
std::string password_file(Device& device) {
  const auto file = device.configuration() / "password";
  std::ofstream(file) << LibestServer::password << "\n";
  std::filesystem::permissions(file, std::filesystem::perms::owner_read);
  return file;
}

std::string login(Device& device, const std::string& more) {
  return "[server.authentication]\nuser = \"" + std::string(LibestServer::user) + "\"\npassword = \"" +
         password_file(device) + "\"\n" + more;
}

TEST_P(ADeviceAtLibest, EnrollsByItsIdevidAndAPassword) {
  const auto row = this->row("enroll by certificate and Basic");
  site_.serve({.client = LibestClient::has_password}, login(device(), "scheme = \"basic\"\n"));
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  EXPECT_EQ(site_.flaw_of_credential(), "");
  EXPECT_THAT(server().requests(), ElementsAre("GET cacerts", "GET csrattrs", "POST simpleenroll"));
}

TEST_P(ADeviceAtLibest, EnrollsByBasicAlone) {
  const auto row = this->row("enroll by Basic");
  site_.serve({.client = LibestClient::has_password},
              login(device(), "idevid = false\n[subject]\nCN = \"gateway-17\"\n"));
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  EXPECT_EQ(site_.flaw_of_credential(), "");
}

TEST_P(ADeviceAtLibest, EnrollsByDigest) {
  const auto row = this->row("enroll by Digest");
  site_.serve({.client = LibestClient::has_password, .password = LibestPassword::digest},
              login(device(), "idevid = false\n[subject]\nCN = \"gateway-17\"\n"));
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  EXPECT_EQ(site_.flaw_of_credential(), "");
}

TEST_P(ADeviceAtLibest, ProvesPossessionOverTheConnectionThatCarriesTheRequest) {
  const auto row = this->row("proof of possession (-t), enroll and re-enroll");
  site_.serve({.csr_attributes = "MAkGBysGAQEBARY=", .demands_proof_of_possession = true});
  const auto enrolled = device().ctl({"enroll", "gateway"});
  ASSERT_EQ(enrolled.status, 0) << told(enrolled);
  const auto renewed = device().ctl({"renew", "gateway"});
  ASSERT_EQ(renewed.status, 0) << told(renewed);
  EXPECT_EQ(site_.flaw_of_credential(), "");
  site_.serve({.csr_attributes = "MAkGBysGAQEBARY=", .demands_proof_of_possession = true},
              "channel_binding = \"off\"\n");
  ASSERT_EQ(device().ctl({"reload"}).status, 0);
  const auto refused = device().ctl({"renew", "gateway"});
  EXPECT_EQ(refused.status, 1) << told(refused);
  EXPECT_THAT(refused.errors, HasSubstr("Proof of Possession"));
}

// --- keys that libest makes: RSA-4096, whatever the request is for ---

const std::string key_of_the_server = "[key]\ngenerated_by = \"server\"\n";

TEST_P(ADeviceAtLibest, KeepsWhatItHasWhereTheProfileDoesNotAllowTheKeyOfTheServer) {
  const auto row = this->row("serverkeygen, a kind of key that is not allowed: refused, credential kept");
  site_.serve();
  ASSERT_EQ(device().ctl({"enroll", "gateway"}).status, 0) << server().log();
  site_.serve({}, key_of_the_server + "algorithm = \"ec-p256\"\n");
  ASSERT_EQ(device().ctl({"reload"}).status, 0);
  const auto refused = device().ctl({"renew", "gateway"});
  EXPECT_EQ(refused.status, 1) << told(refused);
  EXPECT_THAT(refused.errors,
              HasSubstr("the server has made a key of the kind rsa-4096, and the profile allows ec-p256"));
  EXPECT_THAT(device().status()["last_error"].dump(), HasSubstr("DemandUnmet"));
  EXPECT_THAT(server().requests(), Contains("POST serverkeygen"));
  EXPECT_EQ(device().status()["generation"], 1);
  EXPECT_EQ(site_.flaw_of_credential(), "");
}

TEST(ADeviceWithAnHsmAtLibest, TakesTheKeyThatTheServerMakes) {
  const InteropRow row(LibestServer::name(), "serverkeygen, an RSA-4096 key: taken into the token", "SoftHSM");
  LibestSite site(InteropToken::softhsm);
  site.serve({}, key_of_the_server);
  for (int generation = 1; generation <= 2; ++generation) {
    const auto done = site.device().ctl({generation == 1 ? "enroll" : "renew", "gateway"});
    ASSERT_EQ(done.status, 0) << done.errors << site.device().bus().log() << site.server().log();
    EXPECT_EQ(site.device().status()["generation"], generation);
    EXPECT_EQ(site.device().status()["key_algorithm"], "rsa-4096");
    EXPECT_EQ(site.flaw_of_credential(), "");
  }
  const auto generations = site.device().current().parent_path() / "generation";
  EXPECT_NE(key_of(generations / "1/certificate.pem"), key_of(generations / "2/certificate.pem"));
  EXPECT_THAT(site.server().requests(), ElementsAre("GET cacerts", "GET csrattrs", "POST serverkeygen",  //
                                                    "GET cacerts", "GET csrattrs", "POST serverkeygen"));
}

TEST(ADeviceWithATpmAtLibest, KeepsWhatItHasWhereTheTpmDoesNotTakeTheKeyOfTheServer) {
  const InteropRow row(LibestServer::name(), "serverkeygen, an RSA-4096 key: refused by the token, credential kept",
                       "swtpm");
  LibestSite site(InteropToken::swtpm);
  site.serve();
  ASSERT_EQ(site.device().ctl({"enroll", "gateway"}).status, 0) << site.server().log();
  site.serve({}, key_of_the_server);
  ASSERT_EQ(site.device().ctl({"reload"}).status, 0);
  const auto refused = site.device().ctl({"renew", "gateway"});
  EXPECT_EQ(refused.status, 1) << site.device().bus().log() << site.server().log();
  EXPECT_THAT(refused.errors, HasSubstr("import an rsa-4096 key into the TPM"));
  EXPECT_THAT(refused.errors, HasSubstr("hint: let the server make a key of a kind that the token takes"));
  EXPECT_THAT(site.device().status()["last_error"].dump(), HasSubstr("TokenUnsupported"));
  EXPECT_EQ(site.server().requests().back(), "POST serverkeygen");
  EXPECT_EQ(site.device().status()["generation"], 1);
  EXPECT_EQ(site.flaw_of_credential(), "");
  site.serve();
  ASSERT_EQ(site.device().ctl({"reload"}).status, 0);
  EXPECT_EQ(site.device().ctl({"renew", "gateway"}).status, 0) << site.server().log();
  EXPECT_EQ(site.flaw_of_credential(), "");
}

INSTANTIATE_TEST_SUITE_P(Interop, ADeviceAtLibest, ::testing::Values(InteropToken::swtpm, InteropToken::softhsm),
                         [](const auto& each) { return name_of(each.param); });

TEST(TheNetworkOfTheseTests, IsLoopbackAndNothingElse) {
  const Owned<struct if_nameindex, if_freenameindex> interfaces(if_nameindex());
  ASSERT_NE(interfaces, nullptr);
  EXPECT_STREQ(interfaces.get()[0].if_name, "lo");
  EXPECT_EQ(interfaces.get()[1].if_name, nullptr);
}

TEST(ADeviceWithATpmAtLibest, ResumesItsTlsSessionSoThatThreeConnectionsCostOneSignature) {
  LibestSite site(InteropToken::swtpm);
  site.serve();
  ASSERT_EQ(site.device().ctl({"enroll", "gateway"}).status, 0) << site.server().log();
  site.device().tap().reset();
  ASSERT_EQ(site.device().ctl({"renew", "gateway"}).status, 0) << site.server().log();
  const auto seen = site.device().tap().seen();
  EXPECT_EQ(std::ranges::count(seen.commands, TpmCommand::sign), 3)
      << "TLS, request, proof of possession: " << seen.summary();
}

}  // namespace
}  // namespace devid::test
