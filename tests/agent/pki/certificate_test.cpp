#include "agent/pki/certificate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>

#include <algorithm>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using test::certificate_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::string openssl_says(const test::TestCredential& credential, const std::string& option) {
  return test::output_of(
      {.argv = {"openssl", "x509", "-noout", option, "-sha256"}, .input = credential.certificate_pem});
}

/// Replaces the one occurrence of `from` by something as long.
std::string patched(std::string bytes, const std::string& from, const std::string& to) {
  const auto at = bytes.find(from);
  if (at == std::string::npos || from.size() != to.size()) throw std::logic_error("nothing to patch");
  return bytes.replace(at, from.size(), to);
}

class ACertificate : public testing::Test {
 protected:
  ACertificate() { pki.make_ca("root"); }

  test::TestPki pki;
};

TEST_F(ACertificate, SaysWhatOpensslSays) {
  const auto made = pki.issue({.issuer = "root", .subject = "/C=DE/O=Exämple, Inc./CN=gateway-17"});
  const Certificate certificate = certificate_of(made.certificate_pem);
  EXPECT_EQ(certificate.subject(), R"(CN=gateway-17,O=Exämple\, Inc.,C=DE)");
  EXPECT_EQ(certificate.issuer(), "CN=root");
  EXPECT_EQ(openssl_says(made, "-serial"), "serial=" + certificate.serial_number() + "\n");
  std::string fingerprint = openssl_says(made, "-fingerprint");
  fingerprint.erase(0, fingerprint.find('=') + 1);
  std::erase_if(fingerprint, [](char c) { return c == ':' || c == '\n'; });
  std::ranges::transform(fingerprint, fingerprint.begin(), [](unsigned char c) { return std::tolower(c); });
  EXPECT_EQ(certificate.fingerprint(), fingerprint);
  EXPECT_EQ(certificate.pem(), made.certificate_pem);
  EXPECT_EQ(as_text(certificate.der()), test::pem_to_der(made.certificate_pem));
  EXPECT_FALSE(certificate.is_self_issued());
  EXPECT_TRUE(certificate_of(pki.ca("root").certificate_pem).is_self_issued());
}

TEST_F(ACertificate, HasItsFingerprintWhileAnotherThreadWantsFips) {
  const Certificate certificate = certificate_of(pki.issue({}).certificate_pem);
  const std::string fingerprint = certificate.fingerprint();
  ASSERT_EQ(EVP_default_properties_enable_fips(nullptr, 1), 1);
  const std::string meanwhile = certificate.fingerprint();
  EXPECT_EQ(EVP_default_properties_enable_fips(nullptr, 0), 1);
  EXPECT_EQ(fingerprint.size(), 64U);
  EXPECT_EQ(meanwhile, fingerprint);
}

TEST_F(ACertificate, HasThePublicKeyThatOpensslSees) {
  for (const auto key : {test::TestKey::ec_p256, test::TestKey::ec_p384, test::TestKey::rsa_2048}) {
    const auto made = pki.issue({.issuer = "root", .key = key});
    const auto found = certificate_of(made.certificate_pem).public_key();
    ASSERT_TRUE(found) << found.error().sentence();
    EXPECT_EQ(test::public_key_pem(std::string(as_text(found->spki))), openssl_says(made, "-pubkey"));
  }
}

TEST_F(ACertificate, HasNoPublicKeyOfAKindThatDevidDoesNotUse) {
  const auto made = pki.issue({.issuer = "root", .key = test::TestKey::rsa_1024});
  const auto key = certificate_of(made.certificate_pem).public_key();
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Errc::token_unsupported);
}

TEST_F(ACertificate, ListsItsAlternativeNames) {
  const auto made =
      pki.issue({.issuer = "root",
                 .alternative_names = {"DNS:gw.example", "IP:192.0.2.1", "IP:2001:db8:0:0::1", "URI:urn:dev:1",
                                       "email:a@b.example", "RID:1.2.3.4", "otherName:1.2.3.4;UTF8:x"}});
  EXPECT_THAT(certificate_of(made.certificate_pem).alternative_names(),
              ElementsAre("DNS:gw.example", "IP:192.0.2.1", "IP:2001:db8::1", "URI:urn:dev:1", "email:a@b.example",
                          "RID:1.2.3.4", "otherName:1.2.3.4"));
  EXPECT_THAT(certificate_of(pki.ca("root").certificate_pem).alternative_names(), IsEmpty());
}

TEST_F(ACertificate, GivesASubjectAttributeAsUtf8) {
  const auto made = pki.issue({.issuer = "root", .subject = "/O=Exämple/serialNumber=0815/CN=x"});
  const Certificate certificate = certificate_of(made.certificate_pem);
  EXPECT_EQ(certificate.subject_attribute(NID_serialNumber), "0815");
  EXPECT_EQ(certificate.subject_attribute(NID_organizationName), "Exämple");
  EXPECT_EQ(certificate.subject_attribute(NID_localityName), std::nullopt);
}

TEST_F(ACertificate, KnowsItsDatesInEveryCentury) {
  const auto at = [](int year, unsigned month, unsigned day, Seconds rest) {
    return Time(std::chrono::sys_days(std::chrono::year(year) / static_cast<int>(month) / static_cast<int>(day))) +
           rest;
  };
  const std::vector<std::pair<Time, Time>> validities = {
      {at(1950, 1, 1, 0s), at(1969, 12, 31, 24h - 1s)},
      {at(1970, 1, 1, 0s), at(2038, 1, 19, 3h + 14min + 8s)},  // one second after 32 bits
      {at(2024, 2, 29, 12h), at(2049, 12, 31, 24h - 1s)},      // UTCTime ends
      {at(2050, 1, 1, 0s), at(9999, 12, 31, 24h - 1s)},
  };
  for (const auto& [from, to] : validities) {
    const auto made = pki.issue({.issuer = "root", .not_before = from, .not_after = to});
    const Certificate certificate = certificate_of(made.certificate_pem);
    EXPECT_EQ(certificate.not_before(), from) << utc_text(certificate.not_before());
    EXPECT_EQ(certificate.not_after(), to) << utc_text(certificate.not_after());
  }
}

TEST_F(ACertificate, DescribesItselfForAPerson) {
  const auto made = pki.issue({.issuer = "root",
                               .subject = "/O=Example/CN=gateway",
                               .alternative_names = {"DNS:gw.example", "IP:192.0.2.1"},
                               .key_usage = "critical,digitalSignature,keyAgreement",
                               .extended_key_usage = "clientAuth,serverAuth,1.2.3.4.5",
                               .more_extensions = {"1.2.3.9=critical,DER:0500"},
                               .not_before = Time(std::chrono::sys_days(std::chrono::year(2026) / 3 / 1)) + 12h,
                               .not_after = Time(std::chrono::sys_days(std::chrono::year(9999) / 12 / 31)) + 24h - 1s});
  const Certificate certificate = certificate_of(made.certificate_pem);
  EXPECT_EQ(certificate.describe(),
            "Subject:        CN=gateway,O=Example\n"
            "Names:          DNS:gw.example, IP:192.0.2.1\n"
            "Issuer:         CN=root\n"
            "Serial:         " +
                certificate.serial_number() +
                "\n"
                "Valid from:     2026-03-01 12:00:00 UTC\n"
                "Valid until:    9999-12-31 23:59:59 UTC (does not expire)\n"
                "Key:            EC P-256\n"
                "Key usage:      digitalSignature, keyAgreement\n"
                "Extended use:   clientAuth, serverAuth, 1.2.3.4.5\n"
                "CA:             no\n"
                "Not understood: 1.2.3.9\n"
                "SHA-256:        " +
                certificate.fingerprint() + "\n");
  const auto bare = pki.issue(
      {.issuer = "root", .subject = "/", .key_usage = "", .extended_key_usage = "", .key = test::TestKey::rsa_2048});
  EXPECT_THAT(certificate_of(bare.certificate_pem).describe(),
              testing::AllOf(HasSubstr("Subject:        (empty)\n"), HasSubstr("Key:            RSA 2048 bits\n"),
                             Not(HasSubstr("usage"))));
}

TEST_F(ACertificate, NeverPrintsWhatCouldHarmATerminal) {
  const auto made = pki.issue({.issuer = "root",
                               .subject = "/CN=evil-name",
                               .more_extensions = {"subjectAltName=DER:300b820961001b5b316d620a63"}});
  const std::string der =
      patched(test::pem_to_der(made.certificate_pem), "evil-name", std::string("e\0\x1b[1m\nxx", 9));
  const auto certificate = Certificate::from_der(as_bytes(der));
  ASSERT_TRUE(certificate) << certificate.error().sentence();
  EXPECT_EQ(certificate->subject(), R"(CN=e\00\1B[1m\0Axx)");
  EXPECT_EQ(certificate->subject_attribute(NID_commonName), std::string("e\0\x1b[1m\nxx", 9));
  EXPECT_THAT(certificate->alternative_names(), ElementsAre(R"(DNS:a\x00\x1b[1mb\x0ac)"));
  EXPECT_EQ(std::ranges::count(certificate->describe(), '\x1b'), 0);
}

TEST_F(ACertificate, WithANameThatIsNoTextIsRefused) {
  const auto made = pki.issue({.issuer = "root", .subject = "/CN=abcdefgh"});
  const std::string der = test::pem_to_der(made.certificate_pem);
  const std::string name = std::string("\x0c\x08").append("abcdefgh");
  ASSERT_TRUE(Certificate::from_der(as_bytes(der)));
  const std::vector<std::pair<std::string, std::string>> wrong_names = {
      {"broken UTF-8", std::string("\x0c\x08").append("abc\xff\xfe\x80gh")},
      {"an UTF-8 surrogate", std::string("\x0c\x08").append("abc\xed\xa0\x80gh")},
      {"a BMPString of half surrogates", std::string("\x1e\x08\xd8\0\xd8\0\xd8\0\xd8\0", 10)},
      {"a UniversalString beyond Unicode", std::string("\x1c\x08\x7f\0\0\0\0\0\0\x41", 10)},
  };
  for (const auto& [what, wrong] : wrong_names)
    EXPECT_FALSE(Certificate::from_der(as_bytes(patched(der, name, wrong)))) << what;
}

TEST_F(ACertificate, SaysThatItsAlternativeNamesCannotBeRead) {
  const auto made = pki.issue({.issuer = "root", .more_extensions = {"subjectAltName=DER:300582096100"}});
  EXPECT_THAT(certificate_of(made.certificate_pem).alternative_names(), ElementsAre("unreadable"));
}

TEST_F(ACertificate, BoundsTextsOfAnySize) {
  const auto make = [](const std::string& subject, const std::string& serial) {
    return test::output_of({.argv = {"openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                                     "-nodes", "-keyout", "/dev/null", "-subj", subject, "-set_serial", serial}});
  };
  const Certificate certificate =
      certificate_of(make("/UID=" + std::string(20000, 'u'), "0x" + std::string(4000, 'F')));
  EXPECT_LT(certificate.subject().size(), 2100U);
  EXPECT_LT(certificate.serial_number().size(), 600U);
  EXPECT_EQ(certificate.subject_attribute(NID_userId)->size(), 20000U);
}

TEST_F(ACertificate, IsNotReadFromAnythingElse) {
  const std::string der = test::pem_to_der(pki.ca("root").certificate_pem);
  ASSERT_TRUE(Certificate::from_der(as_bytes(der)));
  for (std::size_t size = 0; size < der.size(); ++size) {
    const auto cut = Certificate::from_der(as_bytes(std::string_view(der).substr(0, size)));
    ASSERT_FALSE(cut) << size;
    ASSERT_EQ(cut.error().code, Errc::answer_malformed);
  }
  for (const std::string& trailer : {std::string(1, '\0'), std::string("\n"), der}) {
    const auto longer = Certificate::from_der(as_bytes(der + trailer));
    ASSERT_FALSE(longer);
    EXPECT_THAT(longer.error().reason, HasSubstr("follow the certificate"));
  }
}

TEST_F(ACertificate, WithADamagedByteIsRefusedOrWhollyReadable) {
  const std::string der =
      test::pem_to_der(pki.issue({.issuer = "root", .alternative_names = {"DNS:a.b", "IP:::1"}}).certificate_pem);
  for (std::size_t i = 0; i < der.size(); ++i) {
    for (const unsigned change : {0x01U, 0x20U, 0x80U, 0xffU}) {
      std::string damaged = der;
      damaged[i] = static_cast<char>(static_cast<unsigned char>(damaged[i]) ^ change);
      const auto certificate = Certificate::from_der(as_bytes(damaged));
      if (!certificate) continue;
      EXPECT_EQ(as_text(certificate->der()), damaged) << i;
      EXPECT_FALSE(certificate->describe().empty());
      std::ignore = certificate->public_key();
    }
  }
}

TEST_F(ACertificate, WhoseValidityIsNoDateIsRefused) {
  const auto made = pki.issue({.issuer = "root", .not_after = Time(2208988799s)});  // 2039-12-31 23:59:59
  const std::string der = test::pem_to_der(made.certificate_pem);
  const std::string original = "391231235959Z";
  ASSERT_TRUE(Certificate::from_der(as_bytes(der)));
  for (const char* wrong : {"391331235959Z", "390230235959Z", "391231245959Z", "3912312359 9Z", "39123123595AZ"})
    EXPECT_FALSE(Certificate::from_der(as_bytes(patched(der, original, wrong)))) << wrong;
}

TEST_F(ACertificate, IsEqualToACopyAndToNothingElse) {
  const Certificate root = certificate_of(pki.ca("root").certificate_pem);
  Certificate other = certificate_of(pki.issue({.issuer = "root"}).certificate_pem);
  EXPECT_EQ(root, certificate_of(pki.ca("root").certificate_pem));
  EXPECT_NE(root, other);
  other = root;
  EXPECT_EQ(root, other);
  EXPECT_EQ(Certificate::from_x509(root.get()), root);
}

class AFileOfCertificates : public ACertificate {};

TEST_F(AFileOfCertificates, MayHoldSeveralInPemWithTextAround) {
  const std::string first = pki.ca("root").certificate_pem;
  const std::string second = pki.issue({.issuer = "root"}).certificate_pem;
  const auto found = read_certificates(as_bytes("Here they are\n" + first + "\r\n# and\n" + second + "that was all"));
  ASSERT_TRUE(found) << found.error().sentence();
  EXPECT_THAT(*found, ElementsAre(certificate_of(first), certificate_of(second)));
  EXPECT_EQ(to_pem(*found), first + second);
}

TEST_F(AFileOfCertificates, MayBeOneInDer) {
  const std::string pem = pki.ca("root").certificate_pem;
  const auto found = read_certificates(as_bytes(test::pem_to_der(pem)));
  ASSERT_TRUE(found) << found.error().sentence();
  EXPECT_THAT(*found, ElementsAre(certificate_of(pem)));
}

TEST_F(AFileOfCertificates, HoldsNothingElse) {
  const std::string good = pki.ca("root").certificate_pem;
  const std::string key = test::output_of({.argv = {"cat", pki.ca("root").key}});
  std::string broken = good;
  broken[100] = '?';
  std::string headless = good;
  headless.replace(0, 12, "-----BEGIN C");
  const std::vector<std::pair<std::string, std::string>> files = {
      {"empty", ""},
      {"text", "hello\n"},
      {"a key first", key + good},
      {"a key last", good + key},
      {"a request",
       test::output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca("root").key, "-subj", "/CN=x"}})},
      {"bad base64", good + broken},
      {"no end", good.substr(0, good.find("-----END"))},
      {"half an end", good.substr(0, good.size() - 10)},
      {"half a beginning", good + "-----BEGIN CERTIFIC"},
      {"a damaged beginning", good + "-----BEGIN CERTIFICATE----\n" + good.substr(good.find('\n') + 1)},
      {"a header", "-----BEGIN CERTIFICATE-----\nProc-Type: 4,ENCRYPTED\n\n" + good.substr(good.find('\n') + 1)},
      {"no certificate inside", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"},
      {"a trusted certificate",
       test::output_of({.argv = {"openssl", "x509", "-trustout", "-addtrust", "clientAuth"}, .input = good})},
  };
  for (const auto& [what, content] : files) {
    const auto found = read_certificates(as_bytes(content));
    ASSERT_FALSE(found) << what;
    EXPECT_EQ(found.error().code, Errc::answer_malformed) << what;
    EXPECT_FALSE(found.error().reason.empty()) << what;
  }
}

TEST_F(AFileOfCertificates, HoldsNoMoreThanTheLimit) {
  const std::string one = pki.ca("root").certificate_pem;
  EXPECT_TRUE(read_certificates(as_bytes(one + one), 2));
  const auto found = read_certificates(as_bytes(one + one + one), 2);
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().reason, "more than 2 certificates");
}

}  // namespace
}  // namespace devid::pki
