#include "agent/pki/crl.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/pem.h>

#include <ctime>
#include <functional>

#include "tests/support/asn1_values.h"
#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_revocation.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using test::certificate_of;
using test::CrlSpec;
using testing::EndsWith;
using testing::HasSubstr;
using testing::StartsWith;

using Crl = Owned<X509_CRL, X509_CRL_free>;
using Entry = Owned<X509_REVOKED, X509_REVOKED_free>;

/// A CA below a root, a certificate of it, and a CA below it.
class ACrl : public testing::Test {
 protected:
  ACrl() {
    pki.make_ca("root");
    pki.make_ca("issuing", "root");
    pki.make_ca("below", "issuing");
    revocation.emplace(pki, "issuing");
    leaf = pki.issue({.issuer = "issuing", .more_extensions = {"crlDistributionPoints=URI:http://ca.test/1.crl"}});
  }

  [[nodiscard]] Result<RevocationStatement> read(const std::string& der, const test::TestCredential& subject,
                                                 Time now) const {
    const Certificate issuer = certificate_of(pki.ca("issuing").certificate_pem);
    const Certificate certificate = certificate_of(subject.certificate_pem);
    return read_crl(as_bytes(der), {.subject = certificate, .issuer = issuer, .now = now});
  }
  [[nodiscard]] Result<RevocationStatement> read(const std::string& der) const { return read(der, leaf, now()); }

  static void expect_good(const Result<RevocationStatement>& statement, const std::string& what) {
    ASSERT_TRUE(statement) << what << ": " << statement.error().sentence();
    EXPECT_FALSE(statement->revoked) << what;
  }
  static void expect_refused(const Result<RevocationStatement>& statement, Errc code, const std::string& reason) {
    ASSERT_FALSE(statement) << reason;
    EXPECT_EQ(code_name(statement.error().code), code_name(code)) << statement.error().sentence();
    EXPECT_EQ(statement.error().retry, Retry::later);
    EXPECT_THAT(statement.error().reason, HasSubstr(reason));
  }
  /// A CRL with an issuingDistributionPoint.
  [[nodiscard]] std::string scoped(const std::vector<std::string>& scope) const {
    CrlSpec spec{.extensions = {"issuingDistributionPoint=critical,@scope", "[scope]"}};
    spec.extensions.insert(spec.extensions.end(), scope.begin(), scope.end());
    return revocation->crl(spec);
  }
  /// A CRL that was changed and then signed by its CA again, DER.
  [[nodiscard]] std::string signed_anew(const std::function<bool(X509_CRL*)>& change) const {
    const std::string pem = revocation->crl_pem();
    const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    const Crl crl(PEM_read_bio_X509_CRL(in.get(), nullptr, nullptr, nullptr));
    const Bio key_file(BIO_new_file(pki.ca("issuing").key.c_str(), "r"));
    const Pkey key(PEM_read_bio_PrivateKey(key_file.get(), nullptr, nullptr, nullptr));
    const Bio out(BIO_new(BIO_s_mem()));
    EXPECT_TRUE(crl && key && change(crl.get()) && X509_CRL_sign(crl.get(), key.get(), EVP_sha256()) > 0 &&
                i2d_X509_CRL_bio(out.get(), crl.get()) == 1);
    return std::string(as_text(bio_bytes(out.get())));
  }
  /// A CRL of this content, DER, signed by the openssl command with ECDSA and SHA-256.
  [[nodiscard]] std::string signed_by_command(const Bytes& content, const std::string& digest = "-sha256",
                                              const std::string& algorithm = "1.2.840.10045.4.3.2") const {
    const std::string signature = test::output_of(
        {.argv = {"openssl", "dgst", digest, "-sign", pki.ca("issuing").key}, .input = std::string(as_text(content))});
    const Bytes bits = test::asn1::retagged(test::asn1::octets(as_bytes('\0' + signature)), V_ASN1_BIT_STRING);
    const Bytes named = test::asn1::sequence({test::asn1::object(algorithm)});
    return std::string(as_text(test::asn1::sequence({content, named, bits})));
  }
  [[nodiscard]] static Time now() { return SystemClock().now(); }

  test::TestPki pki;
  std::optional<test::TestRevocation> revocation;
  test::TestCredential leaf;
};

TEST_F(ACrl, SpeaksForEveryCertificateThatIsNotInIt) {
  revocation->revoke(pki.issue({.issuer = "issuing"}));
  const Time next = now() + 2h;
  for (const std::string& form : {revocation->crl({.next_update = next}), revocation->crl_pem({.next_update = next})}) {
    const auto statement = read(form);
    ASSERT_TRUE(statement) << statement.error().sentence();
    EXPECT_FALSE(statement->revoked);
    EXPECT_EQ(statement->detail, "");
    EXPECT_EQ(statement->until, next);
  }
}

TEST_F(ACrl, SpeaksForEveryCertificateWhenItIsEmpty) { expect_good(read(revocation->crl()), "empty"); }

TEST_F(ACrl, SaysSinceWhenAndWhyACertificateIsRevoked) {
  revocation->revoke(pki.issue({.issuer = "issuing"}));
  revocation->revoke(leaf, "cessationOfOperation");
  revocation->revoke(pki.issue({.issuer = "issuing"}));
  for (const std::string& form : {revocation->crl(), revocation->crl_pem()}) {
    const auto statement = read(form);
    ASSERT_TRUE(statement) << statement.error().sentence();
    EXPECT_TRUE(statement->revoked);
    EXPECT_THAT(statement->detail, StartsWith("since 20"));
    EXPECT_THAT(statement->detail, HasSubstr(" UTC, cessationOfOperation"));
  }
}

TEST_F(ACrl, MayBeOfTheFirstVersion) {
  revocation->revoke(leaf, "");
  const std::string der = revocation->crl();
  EXPECT_THAT(test::output_of({.argv = {"openssl", "crl", "-inform", "DER", "-noout", "-text"}, .input = der}),
              HasSubstr("Version 1 "));
  const auto statement = read(der);
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_TRUE(statement->revoked);
  EXPECT_THAT(statement->detail, EndsWith(" UTC"));
}

TEST_F(ACrl, IsBelievedWithinItsDatesAndFiveMinutesAround) {
  const Time made = now();
  const std::string der = revocation->crl({.this_update = made, .next_update = made + 1h});
  for (const auto& [offset, good] : std::vector<std::pair<Seconds, bool>>{
           {-301s, false}, {-300s, true}, {0s, true}, {1h, true}, {65min, true}, {3901s, false}})
    EXPECT_EQ(read(der, leaf, made + offset).has_value(), good) << offset.count();
  expect_refused(read(der, leaf, made - 301s), Errc::revocation_unknown, "it is of the future");
  expect_refused(read(der, leaf, made + 3901s), Errc::revocation_unknown, "it has expired on");
}

TEST_F(ACrl, IsNeverBelievedForMoreThanAWeekAtOnce) {
  const Time then = now();
  const auto statement = read(revocation->crl({.next_update = then + std::chrono::days(365)}), leaf, then);
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_EQ(statement->until, then + std::chrono::days(7));
}

TEST_F(ACrl, EndsAfterItBegins) {
  const Time then = now();
  expect_refused(read(revocation->crl({.this_update = then, .next_update = then - 1min})), Errc::revocation_unknown,
                 "it ends before it begins");
}

TEST_F(ACrl, IsByTheIssuerOfTheCertificate) {
  expect_refused(read(test::TestRevocation(pki, "root").crl()), Errc::revocation_unknown,
                 "it is by another CA than the certificate");
  expect_refused(read(test::TestRevocation(pki, "below").crl()), Errc::revocation_unknown, "it is by another CA");
  test::TestPki forger;
  forger.make_ca("root");
  forger.make_ca("issuing", "root");
  expect_refused(read(test::TestRevocation(forger, "issuing").crl()), Errc::revocation_unknown,
                 "its signature is not by the certificate's issuer");
}

TEST_F(ACrl, IsByAKeyThatMaySignCrls) {
  auto spec = test::TestPki::ca_spec("issuing", "root");
  spec.key_usage = "critical,keyCertSign";
  pki.make_ca("no-crl", spec);
  const Certificate issuer = certificate_of(pki.ca("no-crl").certificate_pem);
  const Certificate subject = certificate_of(pki.issue({.issuer = "no-crl"}).certificate_pem);
  const std::string der = test::TestRevocation(pki, "no-crl").crl();
  expect_refused(read_crl(as_bytes(der), {.subject = subject, .issuer = issuer, .now = now()}),
                 Errc::revocation_unknown, "the CA's key may not sign CRLs");
}

TEST_F(ACrl, NeedsAStrongSignature) {
  expect_refused(read(revocation->crl({.digest = "sha1"})), Errc::revocation_unknown,
                 "weak or not known: ecdsa-with-SHA1");
}

TEST_F(ACrl, IsUsedOnlyForWhatItIsCompleteFor) {
  struct Case {
    std::vector<std::string> scope;
    bool end_entity;
    bool ca;
    std::string reason;
  };
  const std::vector<Case> table = {
      {{"onlyuser=TRUE"}, true, false, "it is for end entities only"},
      {{"onlyCA=TRUE"}, false, true, "it is for CAs only"},
      {{"onlyAA=TRUE"}, false, false, "it is for attribute certificates only"},
      {{"indirectCRL=TRUE"}, false, false, "it is an indirect CRL"},
      {{"onlysomereasons=keyCompromise"}, false, false, "it is for some reasons only"},
      {{"fullname=URI:http://ca.test/1.crl"}, true, false, "it is for other distribution points"},
      {{"fullname=URI:http://ca.test/2.crl"}, false, false, "it is for other distribution points"},
      {{"fullname=DNS:ca.test"}, false, false, "it is for other distribution points"},
      {{"fullname=URI:ldap://ca.test/,URI:http://ca.test/1.crl"}, true, false, "it is for other distribution points"},
      {{"relativename=name", "[name]", "CN=part"}, false, false, "it is for other distribution points"},
  };
  for (const auto& [scope, end_entity, ca, reason] : table) {
    const std::string der = scoped(scope);
    const auto of_leaf = read(der);
    const auto of_ca = read(der, pki.ca("below"), now());
    EXPECT_EQ(of_leaf.has_value(), end_entity) << scope.front();
    EXPECT_EQ(of_ca.has_value(), ca) << scope.front();
    if (!of_leaf) expect_refused(of_leaf, Errc::revocation_unknown, reason);
    if (!of_ca) expect_refused(of_ca, Errc::revocation_unknown, reason);
  }
}

TEST_F(ACrl, TakesForACaWhatSaysThatItIsOneWhateverItsKeyUsage) {
  const auto subject = pki.issue({.issuer = "issuing", .basic_constraints = "critical,CA:TRUE"});
  EXPECT_TRUE(read(scoped({"onlyCA=TRUE"}), subject, now()));
  expect_refused(read(scoped({"onlyuser=TRUE"}), subject, now()), Errc::revocation_unknown, "for end entities only");
}

TEST_F(ACrl, IsNotUsedIfItIsADelta) {
  expect_refused(read(revocation->crl({.extensions = {"2.5.29.27=critical,DER:020101"}})), Errc::revocation_unknown,
                 "it is a delta CRL");
  expect_refused(read(revocation->crl({.extensions = {"2.5.29.27=DER:020101"}})), Errc::revocation_unknown,
                 "it is a delta CRL");
}

TEST_F(ACrl, IsNotUsedWithACriticalExtensionThatNobodyUnderstands) {
  expect_refused(read(revocation->crl({.extensions = {"1.2.3.9=critical,DER:0500"}})), Errc::revocation_unknown,
                 "critical extension that devid does not know: 1.2.3.9");
  expect_good(read(revocation->crl({.extensions = {"1.2.3.9=DER:0500", "authorityKeyIdentifier=keyid"}})), "known");
}

TEST_F(ACrl, IsNotUsedWithSuchAnExtensionInAnyOfItsEntries) {
  revocation->revoke(pki.issue({.issuer = "issuing"}));
  for (const bool critical : {true, false}) {
    const auto statement = read(signed_anew([critical](X509_CRL* crl) {
      X509_REVOKED* const entry = sk_X509_REVOKED_value(X509_CRL_get_REVOKED(crl), 0);
      const Owned<ASN1_OBJECT, ASN1_OBJECT_free> type(OBJ_txt2obj("1.2.3.9", 1));
      const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> value(ASN1_OCTET_STRING_new());
      const Owned<X509_EXTENSION, X509_EXTENSION_free> extension(
          X509_EXTENSION_create_by_OBJ(nullptr, type.get(), critical ? 1 : 0, value.get()));
      return X509_REVOKED_add_ext(entry, extension.get(), -1) == 1 && X509_CRL_set_version(crl, 1) == 1;
    }));
    if (!critical) expect_good(statement, "not critical");
    if (critical) expect_refused(statement, Errc::revocation_unknown, "does not know: 1.2.3.9");
  }
}

TEST_F(ACrl, HasToSayWhenTheNextOneComes) {
  auto content = test::asn1::elements_of_sequence(test::asn1::elements_of_sequence(as_bytes(revocation->crl()))[0]);
  ASSERT_EQ(content.size(), 4U) << "an algorithm, a name, and two dates";
  expect_good(read(signed_by_command(test::asn1::sequence(content))), "with both");
  content.pop_back();
  expect_refused(read(signed_by_command(test::asn1::sequence(content))), Errc::revocation_unknown,
                 "it does not say when the next one comes");
}

TEST_F(ACrl, IsOfAVersionThatIsKnown) {
  expect_good(read(signed_anew([](X509_CRL* crl) { return X509_CRL_set_version(crl, 1) == 1; })), "version 2");
  expect_refused(read(signed_anew([](X509_CRL* crl) { return X509_CRL_set_version(crl, 2) == 1; })),
                 Errc::answer_malformed, "it is of a version that is not known");
}

TEST_F(ACrl, NamesTheAlgorithmOfItsSignatureInsideOfWhatIsSigned) {
  const Bytes content = test::asn1::elements_of_sequence(as_bytes(revocation->crl()))[0];
  expect_good(read(signed_by_command(content)), "as it says inside");
  expect_refused(read(signed_by_command(content, "-sha384", "1.2.840.10045.4.3.3")), Errc::revocation_unknown,
                 "it names two signature algorithms");
}

TEST_F(ACrl, SaysOnceAndReadablyWhatItIsCompleteFor) {
  const std::string whole = "issuingDistributionPoint=critical,@scope";
  expect_good(read(revocation->crl({.extensions = {whole, "[scope]", "onlyuser=TRUE"}})), "one");
  for (const std::vector<std::string>& extensions :
       {std::vector<std::string>{whole, "2.5.29.28=critical,DER:30038101FF", "[scope]", "onlyuser=TRUE"},
        {"2.5.29.28=critical,DER:0500"},
        {"2.5.29.28=critical,DER:3003"},
        {"2.5.29.28=DER:3003"}})
    expect_refused(read(revocation->crl({.extensions = extensions})), Errc::answer_malformed,
                   "its issuing distribution point is none");
}

TEST_F(ACrl, IsRefusedWhenItIsCutAnywhere) {
  revocation->revoke(leaf);
  const std::string der = revocation->crl();
  for (std::size_t size = 0; size < der.size(); ++size) {
    const auto statement = read(der.substr(0, size));
    ASSERT_FALSE(statement) << size;
    ASSERT_EQ(statement.error().code, Errc::answer_malformed) << size;
  }
}

TEST_F(ACrl, NeverCrashesOrLiesOnADamagedByte) {
  revocation->revoke(leaf);
  const std::string der = revocation->crl();
  for (std::size_t i = 0; i < der.size(); ++i) {
    for (const unsigned change : {0x01U, 0x20U, 0x80U, 0xffU}) {
      std::string damaged = der;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ change);
      const auto statement = read(damaged);
      EXPECT_TRUE(!statement || statement->revoked) << i;
    }
  }
}

TEST_F(ACrl, IsRefusedAsSomethingElse) {
  constexpr auto malformed = Errc::answer_malformed;
  expect_refused(read(""), malformed, "");
  expect_refused(read("<html>not found</html>"), malformed, "");
  expect_refused(read(std::string(1000, '\0')), malformed, "");
  expect_refused(read(revocation->crl() + '\0'), malformed, "1 bytes follow");
  expect_refused(read(leaf.certificate_pem), malformed, "it is no CRL, or encrypted: CERTIFICATE");
  for (const char* header :
       {"Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF\n\n", "Proc-Type: 4,CRL\n\n"})
    expect_refused(read(revocation->crl_pem().insert(std::string_view("-----BEGIN X509 CRL-----\n").size(), header)),
                   malformed, "it is no CRL, or encrypted: X509 CRL");
  expect_refused(read(test::pem_to_der(leaf.certificate_pem)), malformed, "");
  expect_refused(read(revocation->crl_pem().replace(100, 4, "!!!!")), malformed, "");
  expect_refused(read("-----BEGIN X509 CRL-----\n"), malformed, "");
  expect_refused(read(revocation->ocsp(revocation->ocsp_request(leaf))), malformed, "");
  expect_refused(read(std::string(longest_crl + 1, '0')), malformed, "it is longer than 4194304 bytes");
}

TEST_F(ACrl, OfAWholeFleetIsReadInASecond) {
  revocation->revoke_many(170000);
  revocation->revoke(leaf);
  const std::string der = revocation->crl();
  ASSERT_GT(der.size(), longest_crl * 9 / 10);
  const std::clock_t begin = std::clock();
  const auto statement = read(der);
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC) << "of this process";
  ASSERT_TRUE(statement) << statement.error().sentence();
  EXPECT_TRUE(statement->revoked);
}

}  // namespace
}  // namespace devid::pki
