#include "agent/pki/csr_attributes.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/asn1_text.h"
#include "tests/support/command.h"

namespace devid::pki {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::vector<KeyAlgorithm> any_ec = {KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384, KeyAlgorithm::ec_p521};
const std::vector<KeyAlgorithm> any_rsa = {KeyAlgorithm::rsa_2048, KeyAlgorithm::rsa_3072, KeyAlgorithm::rsa_4096};
const std::string mac_address = "1.3.6.1.1.1.1.22";
const std::string serial_number = "2.5.4.5";
const std::string ec = "OID:id-ecPublicKey";
const std::string rsa = "OID:rsaEncryption";

Bytes bytes_of(const std::string& text) { return to_bytes(as_bytes(text)); }

CsrAttributes read(const std::string& der) {
  auto wanted = read_csr_attributes(as_bytes(der));
  EXPECT_TRUE(wanted) << wanted.error().sentence();
  return wanted ? *wanted : CsrAttributes{};
}

class WhatAServerWants : public testing::Test {
 protected:
  CsrAttributes read_elements(const std::vector<std::string>& elements) {
    return read(text.der(text.sequence(elements)));
  }

  /// The parts of a CertificationRequestInfoTemplate after its version.
  std::string request_template(std::vector<std::string> parts) {
    parts.insert(parts.begin(), "INTEGER:0");
    return text.attribute("1.2.840.113549.1.9.16.2.61", {text.sequence(parts)});
  }

  test::Asn1Text text;
};

// --- the published examples ---

TEST(PublishedExamples, OfRfc7030And8951AreUnderstood) {
  const CsrAttributes wanted = read(test::from_base64(
      "MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw=="));
  EXPECT_EQ(wanted,
            (CsrAttributes{.challenge_password = true,
                           .keys = {{.text = "id-ecPublicKey secp384r1", .algorithms = {KeyAlgorithm::ec_p384}}},
                           .digests = {Digest::sha384},
                           .subject = std::nullopt,
                           .extensions = {},
                           .facts = {mac_address},
                           .ignored = {}}));
}

TEST(PublishedExamples, OfRfc7030WithUnknownAttributesAreUnderstood) {
  const CsrAttributes wanted = read(
      test::from_base64("MHwGBysGAQEBARYwIgYDiDcBMRsTGVBhcnNlIFNFVCBhcyAyLjk5OS4xIGRhdGEGCSqGSIb3DQEJBzAsBgOINwIxJQYD"
                        "iDcDBgOINwQTGVBhcnNlIFNFVCBhcyAyLjk5OS4yIGRhdGEGCSskAwMCCAEBCwYJYIZIAWUDBAIC"));
  EXPECT_EQ(wanted, (CsrAttributes{.challenge_password = true,
                                   .keys = {{.text = "brainpoolP384r1", .algorithms = {}}},
                                   .digests = {Digest::sha384},
                                   .subject = std::nullopt,
                                   .extensions = {},
                                   .facts = {mac_address},
                                   .ignored = {"2.999.1 with values", "2.999.2 with values"}}));
}

TEST(PublishedExamples, OfRfc9908AreUnderstood) {
  const CsrAttributes corrected =
      read(test::from_base64("MDIGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiBgcrBgEBAQEWBggqhkjOPQQDAw=="));
  EXPECT_EQ(corrected, read(test::from_base64("MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcr"
                                              "BgEBAQEWBggqhkjOPQQDAw==")));

  const CsrAttributes of_size = read(test::from_base64("MCkGCSqGSIb3DQEJBzARBgkqhkiG9w0BAQExBAICEAAGCSqGSIb3DQEBCw=="));
  EXPECT_THAT(of_size.keys,
              ElementsAre(KeyTemplate{.text = "rsaEncryption 4096", .algorithms = {KeyAlgorithm::rsa_4096}}));
  EXPECT_THAT(of_size.digests, ElementsAre(Digest::sha256));

  const CsrAttributes with_drink =
      read(test::from_base64("MEUGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAjBgkqhkiG9w0BCRQGCgmSJomT8ixkAQUGA1UEBQYIKoZI"
                             "zj0EAwQ="));
  EXPECT_THAT(with_drink.keys,
              ElementsAre(KeyTemplate{.text = "id-ecPublicKey secp521r1", .algorithms = {KeyAlgorithm::ec_p521}}));
  EXPECT_THAT(with_drink.digests, ElementsAre(Digest::sha512));
  EXPECT_THAT(with_drink.facts, ElementsAre(serial_number));
  EXPECT_THAT(with_drink.ignored, ElementsAre("friendlyName", "favouriteDrink"));
}

TEST(PublishedExamples, OfAnAutonomicControlPlaneIsUnderstood) {
  const CsrAttributes wanted =
      read(test::from_base64("MGgwZgYJKoZIhvcNAQkOMVkwVzBVBgNVHREBAf8ESzBJoEcGCCsGAQUFBwgKoDsWOXJmYzg5OTQrZmQ3MzlmYzIz"
                             "YzM0NDAxMTIyMzM0NDU1MDAwMDAwMDArQGFjcC5leGFtcGxlLmNvbQ=="));
  ASSERT_EQ(wanted.extensions.size(), 1U);
  EXPECT_EQ(wanted.extensions[0].oid, "2.5.29.17");
  EXPECT_TRUE(wanted.extensions[0].critical);
  ASSERT_TRUE(wanted.extensions[0].value);
  EXPECT_THAT(std::string(as_text(*wanted.extensions[0].value)), HasSubstr("rfc8994+fd739fc23c34"));
}

TEST_F(WhatAServerWants, InTheTemplateOfRfc9908IsUnderstood) {
  const std::string names = text.sequence({"IMPLICIT:2,IA5:www.myServer.com", "IMPLICIT:7,OCT:"});
  const std::string der = text.der(text.sequence({request_template(
      {text.sequence({text.set({text.sequence({"OID:commonName"})}),
                      text.set({text.sequence({"OID:organizationalUnitName", "UTF8:myDept"})}),
                      text.set({text.sequence({"OID:organizationalUnitName", "UTF8:myGroup"})})}),
       "IMPLICIT:0," + text.sequence({text.sequence({ec, "OID:prime256v1"})}),
       "IMPLICIT:1," + text.set({text.attribute(
                           "1.2.840.113549.1.9.16.2.62",
                           {text.sequence({text.sequence({"OID:subjectAltName", "OCTWRAP," + names}),
                                           text.sequence({"OID:keyUsage", "BOOL:TRUE", "FORMAT:HEX,OCT:03020388"}),
                                           text.sequence({"OID:extendedKeyUsage"})})})})})}));
  const CsrAttributes wanted = read(der);
  EXPECT_THAT(wanted.keys,
              ElementsAre(KeyTemplate{.text = "id-ecPublicKey prime256v1", .algorithms = {KeyAlgorithm::ec_p256}}));
  EXPECT_THAT(wanted.subject.value(), ElementsAre(SubjectAttributeTemplate{.oid = "2.5.4.3", .value = std::nullopt},
                                                  SubjectAttributeTemplate{.oid = "2.5.4.11", .value = "myDept"},
                                                  SubjectAttributeTemplate{.oid = "2.5.4.11", .value = "myGroup"}));
  EXPECT_THAT(
      wanted.extensions,
      ElementsAre(ExtensionTemplate{.oid = "2.5.29.17", .critical = false, .value = bytes_of(text.der(names))},
                  ExtensionTemplate{.oid = "2.5.29.15", .critical = true, .value = bytes_of("\x03\x02\x03\x88")},
                  ExtensionTemplate{.oid = "2.5.29.37", .critical = false, .value = std::nullopt}));
  EXPECT_FALSE(wanted.challenge_password);
  EXPECT_THAT(wanted.digests, IsEmpty());
  EXPECT_THAT(wanted.facts, IsEmpty());
  EXPECT_THAT(wanted.ignored, IsEmpty());
}

// --- elements one by one ---

TEST_F(WhatAServerWants, IsNothingIfItSaysNothing) {
  EXPECT_EQ(read(""), CsrAttributes{});
  EXPECT_EQ(read(text.der("SEQUENCE")), CsrAttributes{});
}

TEST_F(WhatAServerWants, MayBeAnyKeyOfAKind) {
  const KeyTemplate wants_ec = {.text = "id-ecPublicKey", .algorithms = any_ec};
  const KeyTemplate wants_rsa = {.text = "rsaEncryption", .algorithms = any_rsa};
  EXPECT_THAT(read_elements({ec, rsa}).keys, ElementsAre(wants_ec, wants_rsa));
  EXPECT_THAT(read_elements({text.attribute("id-ecPublicKey", {}), text.attribute("rsaEncryption", {})}).keys,
              ElementsAre(wants_ec, wants_rsa));
  EXPECT_THAT(read_elements({text.attribute("rsaEncryption", {"NULL"})}).keys, ElementsAre(wants_rsa));
  EXPECT_THAT(read_elements({ec, ec, ec}).keys, ElementsAre(wants_ec));
}

TEST_F(WhatAServerWants, MayBeOneOfSeveralKeys) {
  const auto wanted = read_elements({text.attribute("id-ecPublicKey", {"OID:prime256v1", "OID:secp384r1"}),
                                     text.attribute("rsaEncryption", {"INTEGER:3072"})});
  EXPECT_THAT(wanted.keys,
              ElementsAre(KeyTemplate{.text = "id-ecPublicKey secp384r1", .algorithms = {KeyAlgorithm::ec_p384}},
                          KeyTemplate{.text = "id-ecPublicKey prime256v1", .algorithms = {KeyAlgorithm::ec_p256}},
                          KeyTemplate{.text = "rsaEncryption 3072", .algorithms = {KeyAlgorithm::rsa_3072}}));
}

TEST_F(WhatAServerWants, IsOneKeyIfKindAndCurveStandSideBySide) {
  EXPECT_THAT(read_elements({ec, "OID:secp384r1"}).keys,
              ElementsAre(KeyTemplate{.text = "secp384r1", .algorithms = {KeyAlgorithm::ec_p384}}));
}

TEST_F(WhatAServerWants, MayBeAKeyThatDevidDoesNotMake) {
  for (const std::string size : {"512", "0", "-2048", "0x7fffffffffffffffffffffff"})
    EXPECT_THAT(read_elements({text.attribute("rsaEncryption", {"INTEGER:" + size})}).keys[0].algorithms, IsEmpty())
        << size;
  EXPECT_THAT(read_elements({text.attribute("id-ecPublicKey", {"OID:secp256k1"})}).keys,
              ElementsAre(KeyTemplate{.text = "id-ecPublicKey secp256k1", .algorithms = {}}));
}

TEST_F(WhatAServerWants, OfTheDigestIsAnyThatDevidSignsWith) {
  using Digests = std::vector<Digest>;
  const std::vector<std::tuple<std::vector<std::string>, Digests, std::size_t>> cases = {
      {{"OID:sha256"}, {Digest::sha256}, 0},
      {{"OID:sha512", "OID:sha256"}, {Digest::sha512, Digest::sha256}, 0},
      {{"OID:sha512", "OID:sha512WithRSAEncryption", "OID:sha384"}, {Digest::sha512, Digest::sha384}, 0},
      {{"OID:sha1", "OID:ecdsa-with-SHA384"}, {Digest::sha384}, 1},
      {{"OID:sha512WithRSAEncryption"}, {Digest::sha512}, 0},
      {{"OID:sha1WithRSAEncryption"}, {}, 1},
      {{"OID:md5"}, {}, 1},
      {{"OID:sha3-256"}, {}, 1},
  };
  for (const auto& [elements, digests, ignored] : cases) {
    const auto wanted = read_elements(elements);
    EXPECT_EQ(wanted.digests, digests) << elements[0];
    EXPECT_EQ(wanted.ignored.size(), ignored) << elements[0];
  }
  EXPECT_THAT(read_elements({"OID:sha1"}).ignored, ElementsAre(HasSubstr("SHA1: requests are signed with SHA-256")));
}

TEST_F(WhatAServerWants, OfTheKeyFollowsFromTheSignatureIfNothingElseSaysIt) {
  EXPECT_THAT(read_elements({"OID:sha256WithRSAEncryption"}).keys,
              ElementsAre(KeyTemplate{.text = "rsaEncryption", .algorithms = any_rsa}));
  EXPECT_THAT(read_elements({"OID:ecdsa-with-SHA256", "OID:sha256WithRSAEncryption"}).keys.size(), 2U);
  EXPECT_THAT(read_elements({"OID:sha256WithRSAEncryption", ec}).keys[0].text, "id-ecPublicKey");
}

TEST_F(WhatAServerWants, MayBeFactsThatItNamesOnce) {
  const auto wanted = read_elements({"OID:2.5.4.5", text.attribute(mac_address, {}), "OID:1.3.6.1.4.1.40808.1.1.3",
                                     "OID:1.3.6.1.4.1.40808.1.1.4", "OID:1.3.6.1.4.1.40808.1.1.5", "OID:2.5.4.5",
                                     text.attribute("extReq", {"OID:" + mac_address, "OID:subjectAltName"})});
  EXPECT_THAT(wanted.facts, ElementsAre(serial_number, mac_address, "1.3.6.1.4.1.40808.1.1.3",
                                        "1.3.6.1.4.1.40808.1.1.4", "1.3.6.1.4.1.40808.1.1.5"));
  EXPECT_THAT(wanted.extensions,
              ElementsAre(ExtensionTemplate{.oid = "2.5.29.17", .critical = false, .value = std::nullopt}));
  EXPECT_THAT(wanted.ignored, IsEmpty());
}

TEST_F(WhatAServerWants, IsOnlyTheTemplateIfThereIsOne) {
  const auto wanted = read_elements(
      {"OID:challengePassword", "OID:sha384", text.attribute("extReq", {"OID:subjectAltName"}), rsa, "OID:friendlyName",
       request_template({"IMPLICIT:0," + text.sequence({text.sequence({ec, "OID:secp521r1"})})})});
  EXPECT_EQ(wanted,
            (CsrAttributes{.challenge_password = false,
                           .keys = {{.text = "id-ecPublicKey secp521r1", .algorithms = {KeyAlgorithm::ec_p521}}},
                           .digests = {},
                           .subject = std::nullopt,
                           .extensions = {},
                           .facts = {},
                           .ignored = {}}));
}

TEST_F(WhatAServerWants, InATemplateMayBeAnRsaKeyAsLongAsThePlaceholder) {
  const auto placeholder = [&](const std::string& modulus) {
    return read_elements({request_template(
        {"IMPLICIT:0," + text.sequence({text.sequence({rsa, "NULL"}),
                                        "BITWRAP," + text.sequence({"INTEGER:" + modulus, "INTEGER:65537"})})})});
  };
  EXPECT_THAT(placeholder("0x80" + std::string(766, '0')).keys,
              ElementsAre(KeyTemplate{.text = "rsaEncryption 3072", .algorithms = {KeyAlgorithm::rsa_3072}}));
  EXPECT_THAT(placeholder("0x00").keys,
              ElementsAre(KeyTemplate{.text = "rsaEncryption of an unknown size", .algorithms = {}}));
  EXPECT_THAT(read_elements({request_template({"IMPLICIT:0," + text.sequence({text.sequence({rsa, "NULL"})})})}).keys,
              ElementsAre(KeyTemplate{.text = "rsaEncryption", .algorithms = any_rsa}));
}

TEST_F(WhatAServerWants, InATemplateMayBeAKeyOfAnotherKind) {
  EXPECT_THAT(read_elements({request_template({"IMPLICIT:0," + text.sequence({text.sequence({"OID:ED25519"})})})}).keys,
              ElementsAre(KeyTemplate{.text = "ED25519", .algorithms = {}}));
}

TEST_F(WhatAServerWants, InATemplateMayBeAttributesOfTheRequest) {
  const auto wanted = read_elements({request_template(
      {"IMPLICIT:1," + text.set({text.attribute("challengePassword", {"UTF8:x"}), text.attribute("serialNumber", {}),
                                 text.attribute("friendlyName", {"UTF8:x"})})})});
  EXPECT_TRUE(wanted.challenge_password);
  EXPECT_THAT(wanted.facts, ElementsAre(serial_number));
  EXPECT_THAT(wanted.ignored, ElementsAre("friendlyName with values"));
}

TEST_F(WhatAServerWants, InASubjectIsTextOfAnyType) {
  const auto subject = [&](const std::string& value) {
    return read_elements({request_template({text.sequence({text.set({text.sequence({"OID:2.5.4.10", value})})})})});
  };
  for (const std::string value : {"UTF8:Example", "PRINTABLE:Example", "IA5:Example", "T61:Example", "BMP:Example"})
    EXPECT_THAT(subject(value).subject.value(),
                ElementsAre(SubjectAttributeTemplate{.oid = "2.5.4.10", .value = "Example"}));
  EXPECT_THAT(subject("UTF8:").subject.value(),
              ElementsAre(SubjectAttributeTemplate{.oid = "2.5.4.10", .value = std::nullopt}));
  EXPECT_THAT(subject("INTEGER:1").subject.value(), IsEmpty());
  EXPECT_THAT(subject("INTEGER:1").ignored, ElementsAre("subject attribute O, whose value is no text"));
}

TEST_F(WhatAServerWants, InASubjectOfSeveralPartsIsAskedForOneByOne) {
  const auto wanted = read_elements({request_template({text.sequence(
      {text.set({text.sequence({"OID:2.5.4.3", "UTF8:a"}), text.sequence({"OID:2.5.4.5", "UTF8:b"})})})})});
  EXPECT_THAT(wanted.subject.value(), ElementsAre(SubjectAttributeTemplate{.oid = "2.5.4.3", .value = "a"},
                                                  SubjectAttributeTemplate{.oid = "2.5.4.5", .value = "b"}));
  EXPECT_THAT(wanted.ignored, ElementsAre(HasSubstr("one by one")));
}

}  // namespace
}  // namespace devid::pki
