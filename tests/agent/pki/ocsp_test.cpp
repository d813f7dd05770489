#include "agent/pki/ocsp.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/ocsp.h>
#include <openssl/pem.h>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_revocation.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using test::certificate_of;
using test::CertificateSpec;
using test::OcspSpec;
using testing::HasSubstr;
using testing::StartsWith;

using Response = Owned<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using Basic = Owned<OCSP_BASICRESP, OCSP_BASICRESP_free>;

/// A CA below a root, and a certificate that it knows.
class AResponder : public testing::Test {
 protected:
  AResponder() {
    pki.make_ca("root");
    pki.make_ca("issuing", "root");
    revocation.emplace(pki, "issuing");
    leaf = pki.issue({.issuer = "issuing"});
    revocation->know(leaf);
  }

  /// A certificate for OCSPSigning.
  test::TestCredential delegate(CertificateSpec spec) {
    spec.subject = "/CN=responder";
    if (spec.extended_key_usage == "clientAuth") spec.extended_key_usage = "OCSPSigning";
    return pki.issue(spec);
  }
  [[nodiscard]] std::string response(const OcspSpec& spec = {}) const {
    return revocation->ocsp(revocation->ocsp_request(leaf), spec);
  }
  [[nodiscard]] Result<RevocationStatement> read(const std::string& der, Time now) const {
    const Certificate subject = certificate_of(leaf.certificate_pem);
    const Certificate issuer = certificate_of(pki.ca("issuing").certificate_pem);
    return read_ocsp_response(as_bytes(der), {.subject = subject, .issuer = issuer, .now = now});
  }
  [[nodiscard]] Result<RevocationStatement> read(const std::string& der) const { return read(der, now()); }

  void expect_good(const std::string& der, const std::string& what) const {
    const auto statement = read(der);
    ASSERT_TRUE(statement) << what << ": " << statement.error().sentence();
    EXPECT_FALSE(statement->revoked) << what;
  }
  static void expect_refused(const Result<RevocationStatement>& statement, Errc code, const std::string& reason) {
    ASSERT_FALSE(statement) << reason;
    EXPECT_EQ(code_name(statement.error().code), code_name(code)) << statement.error().sentence();
    EXPECT_EQ(statement.error().retry, Retry::later);
    EXPECT_THAT(statement.error().reason, HasSubstr(reason));
  }
  [[nodiscard]] static Time now() { return SystemClock().now(); }

  test::TestPki pki;
  std::optional<test::TestRevocation> revocation;
  test::TestCredential leaf;
};

TEST_F(AResponder, UnderstandsTheRequest) {
  const auto request =
      make_ocsp_request(certificate_of(leaf.certificate_pem), certificate_of(pki.ca("issuing").certificate_pem));
  ASSERT_TRUE(request) << request.error().sentence();
  EXPECT_EQ(as_text(*request), revocation->ocsp_request(leaf));
  expect_good(revocation->ocsp(std::string(as_text(*request))), "our request");
}

TEST_F(AResponder, IsBelievedUntilTheNextUpdate) {
  const Time before = now();
  const auto statement = read(response());
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_FALSE(statement->revoked);
  EXPECT_EQ(statement->detail, "");
  EXPECT_GE(statement->until, before + 60min);
  EXPECT_LE(statement->until, now() + 60min);
}

TEST_F(AResponder, SaysSinceWhenAndWhyACertificateIsRevoked) {
  revocation->revoke(leaf, "keyCompromise");
  const auto statement = read(response());
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_TRUE(statement->revoked);
  EXPECT_THAT(statement->detail, StartsWith("since 20"));
  EXPECT_THAT(statement->detail, HasSubstr(" UTC, keyCompromise"));
}

TEST_F(AResponder, MayNotKnowACertificate) {
  leaf = pki.issue({.issuer = "issuing"});
  expect_refused(read(response()), Errc::revocation_unknown, "the responder does not know the certificate");
}

TEST_F(AResponder, MayBeACertificateThatTheIssuerHasAuthorised) {
  expect_good(response({.signer = delegate({.issuer = "issuing"})}), "delegate");
  expect_good(response({.signer = delegate({.issuer = "issuing", .more_extensions = {"noCheck=ignored"}})}),
              "delegate with nocheck");
  expect_good(response({.signer = delegate({.issuer = "issuing", .key = test::TestKey::rsa_2048}),
                        .more = {"-rsigopt", "rsa_padding_mode:pss", "-nmin", "60"}}),
              "delegate with RSA-PSS");
}

TEST_F(AResponder, IsNobodyElse) {
  constexpr auto unknown = Errc::revocation_unknown;
  const std::string reason = "it is not by the certificate's issuer: ";
  const test::TestCredential server = delegate({.issuer = "issuing", .extended_key_usage = "serverAuth"});
  expect_refused(read(response({.signer = server})), unknown, reason + "missing ocspsigning usage");
  expect_refused(read(response({.signer = leaf})), unknown, reason);
  expect_refused(read(response({.signer = delegate({.issuer = "root"})})), unknown, reason);
  expect_refused(read(response({.signer = pki.ca("root")})), unknown, reason);
  pki.make_ca("stranger");
  expect_refused(read(response({.signer = pki.ca("stranger")})), unknown, reason);
  expect_refused(read(response({.signer = delegate({.issuer = "stranger"})})), unknown, reason);
  pki.make_ca("below", "issuing");
  const test::TestCredential below = delegate({.issuer = "below"});
  expect_refused(read(response({.signer = below, .more = {"-rother", below.full_chain, "-nmin", "60"}})), unknown,
                 reason);
}

TEST_F(AResponder, IsNotAForgeryWithTheNameOfTheIssuer) {
  test::TestPki forger;
  forger.make_ca("root");
  forger.make_ca("issuing", "root");
  expect_refused(read(response({.signer = forger.ca("issuing")})), Errc::revocation_unknown,
                 "it is not by the certificate's issuer");
}

TEST_F(AResponder, HasACertificateThatIsValidAtTheTime) {
  const auto spec = CertificateSpec{.issuer = "issuing", .not_before = now() - 2h, .not_after = now() + 2h};
  const std::string der = response({.signer = delegate(spec), .more = {"-ndays", "1"}});
  expect_good(der, "now");
  expect_refused(read(der, now() + 3h), Errc::revocation_unknown, "certificate has expired");
}

TEST_F(AResponder, NeedsAStrongSignature) {
  expect_refused(read(response({.more = {"-rmd", "sha1", "-nmin", "60"}})), Errc::revocation_unknown,
                 "weak or not known: ecdsa-with-SHA1");
  const test::TestCredential rsa = delegate({.issuer = "issuing", .key = test::TestKey::rsa_2048});
  expect_refused(
      read(response({.signer = rsa, .more = {"-rmd", "sha1", "-rsigopt", "rsa_padding_mode:pss", "-nmin", "60"}})),
      Errc::revocation_unknown, "weak or not known: RSASSA-PSS");
  const test::TestCredential weak = delegate({.issuer = "issuing", .key = test::TestKey::rsa_1024});
  expect_refused(read(response({.signer = weak})), Errc::revocation_unknown, "key too weak");
}

TEST_F(AResponder, IsRefusedWhenItsSignatureIsWrong) {
  // The response without its certificates ends in the signature.
  std::string der = response({.more = {"-resp_no_certs", "-nmin", "60"}});
  expect_good(der, "whole");
  der.back() = static_cast<char>(static_cast<unsigned char>(der.back()) ^ 1U);
  expect_refused(read(der), Errc::revocation_unknown, "it is not by the certificate's issuer: ");
}

TEST_F(AResponder, IsBelievedWithinItsDatesAndFiveMinutesAround) {
  const std::string der = response();
  const Time made = now();
  for (const auto& [offset, good] : std::vector<std::pair<Seconds, bool>>{
           {-10min, false}, {-4min, true}, {0s, true}, {59min, true}, {64min, true}, {70min, false}})
    EXPECT_EQ(read(der, made + offset).has_value(), good) << offset.count();
  expect_refused(read(der, made - 10min), Errc::revocation_unknown, "it is of the future");
  expect_refused(read(der, made + 70min), Errc::revocation_unknown, "it has expired on");
}

TEST_F(AResponder, IsBelievedForADayAndKeptForAnHourWithoutANextUpdate) {
  const std::string der = response({.more = {}});
  const Time made = now();
  const auto statement = read(der, made + 12h);
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_EQ(statement->until, made + 13h);
  expect_refused(read(der, made + 25h), Errc::revocation_unknown, "it has no end, and is too old");
}

TEST_F(AResponder, IsNeverBelievedForMoreThanAWeekAtOnce) {
  const Time later = now() + 1h;
  const auto statement = read(response({.more = {"-ndays", "100"}}), later);
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_EQ(statement->until, later + std::chrono::days(7));
}

TEST_F(AResponder, MayNameTheCertificateByAnyStrongDigestAndEchoANonce) {
  for (const auto& options : std::vector<std::vector<std::string>>{
           {"-no_nonce", "-sha1"}, {"-no_nonce", "-sha256"}, {"-no_nonce", "-sha384"}, {"-nonce"}})
    expect_good(revocation->ocsp(revocation->ocsp_request(leaf, options)), options.back());
  expect_refused(read(revocation->ocsp(revocation->ocsp_request(leaf, {"-no_nonce", "-md5"}))),
                 Errc::revocation_unknown, "about another certificate");
}

TEST_F(AResponder, SpeaksOfTheCertificateThatWasAskedOf) {
  const std::string der = response();
  leaf = pki.issue({.issuer = "issuing"});
  expect_refused(read(der), Errc::revocation_unknown, "it is about another certificate");
}

TEST_F(AResponder, MaySpeakOfOtherCertificatesToo) {
  const test::TestCredential other = pki.issue({.issuer = "issuing"});
  revocation->revoke(other);
  const std::string both = revocation->ocsp(revocation->ocsp_request(
      other, {"-no_nonce", "-issuer", pki.ca("issuing").certificate, "-cert", leaf.certificate}));
  expect_good(both, "ours");
  leaf = other;
  const auto statement = read(both);
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_TRUE(statement->revoked);
}

TEST_F(AResponder, IsNotBelievedWithACriticalExtensionThatNobodyUnderstands) {
  const std::string der = response();
  const Bio key_file(BIO_new_file(pki.ca("issuing").key.c_str(), "r"));
  const Pkey key(PEM_read_bio_PrivateKey(key_file.get(), nullptr, nullptr, nullptr));
  const Certificate issuer = certificate_of(pki.ca("issuing").certificate_pem);
  // Adds the extension to the response or to what it says of the certificate, and signs it again.
  const auto extended = [&](bool critical, bool single) {
    const Bio in(BIO_new_mem_buf(der.data(), static_cast<int>(der.size())));
    const Response response(d2i_OCSP_RESPONSE_bio(in.get(), nullptr));
    const Basic basic(OCSP_response_get1_basic(response.get()));
    const Owned<ASN1_OBJECT, ASN1_OBJECT_free> type(OBJ_txt2obj("1.2.3.9", 1));
    const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
    const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
        X509_EXTENSION_create_by_OBJ(nullptr, type.get(), critical ? 1 : 0, value.get()));
    EXPECT_EQ(single ? OCSP_SINGLERESP_add_ext(OCSP_resp_get0(basic.get(), 0), extension.get(), -1)
                     : OCSP_BASICRESP_add_ext(basic.get(), extension.get(), -1),
              1);
    EXPECT_EQ(OCSP_basic_sign(basic.get(), issuer.get(), key.get(), EVP_sha256(), nullptr, OCSP_NOCERTS), 1);
    const Response again(OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic.get()));
    const Bio out(BIO_new(BIO_s_mem()));
    EXPECT_EQ(i2d_OCSP_RESPONSE_bio(out.get(), again.get()), 1);
    return std::string(as_text(bio_bytes(out.get())));
  };
  for (const bool single : {false, true}) {
    expect_good(extended(false, single), "not critical");
    expect_refused(read(extended(true, single)), Errc::revocation_unknown, "does not know: 1.2.3.9");
  }
}

TEST_F(AResponder, MayHaveNoAnswer) {
  struct Case {
    char status;
    const char* reason;
  };
  for (const auto& [status, reason] : std::vector<Case>{{1, "malformedrequest"},
                                                        {2, "internalerror"},
                                                        {3, "trylater"},
                                                        {5, "sigrequired"},
                                                        {6, "unauthorized"},
                                                        {99, "(UNKNOWN)"}}) {
    const std::string der = std::string("\x30\x03\x0a\x01", 4) + status;
    expect_refused(read(der), Errc::revocation_unknown, std::string("the responder answers: ") + reason);
  }
}

TEST_F(AResponder, IsRefusedWhenItsAnswerIsCutAnywhere) {
  const std::string der = response();
  for (std::size_t size = 0; size < der.size(); ++size) {
    const auto statement = read(der.substr(0, size));
    ASSERT_FALSE(statement) << size;
    ASSERT_EQ(statement.error().code, Errc::answer_malformed) << size;
  }
}

TEST_F(AResponder, NeverCrashesOrTurnsItsAnswerAroundOnADamagedByte) {
  revocation->revoke(leaf);
  const std::string der = response({.more = {"-resp_no_certs", "-nmin", "60"}});
  for (std::size_t i = 0; i < der.size(); ++i) {
    for (const unsigned change : {0x01U, 0x20U, 0x80U, 0xffU}) {
      std::string damaged = der;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ change);
      const auto statement = read(damaged);
      EXPECT_TRUE(!statement || statement->revoked) << i;
    }
  }
}

TEST_F(AResponder, IsRefusedWhenItAnswersSomethingElse) {
  constexpr auto malformed = Errc::answer_malformed;
  expect_refused(read(""), malformed, "");
  expect_refused(read("<html>not found</html>"), malformed, "");
  expect_refused(read(std::string(1000, '\0')), malformed, "");
  expect_refused(read(response() + '\0'), malformed, "1 bytes follow");
  expect_refused(read(std::string(longest_ocsp_response, '0')), malformed, "");
  expect_refused(read(std::string(longest_ocsp_response + 1, '0')), malformed, "it is longer than 65536 bytes");
  expect_refused(read(std::string("\x30\x03\x0a\x01\x00", 5)), malformed, "");
  expect_refused(read(revocation->ocsp_request(leaf)), malformed, "");
  expect_refused(read(revocation->crl()), malformed, "");
}

}  // namespace
}  // namespace devid::pki
