#include "agent/pki/request_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/asn1_text.h"
#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/fake_token.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using Kind = AlternativeName::Kind;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string mac_address = "1.3.6.1.1.1.1.22";

const RequestWish wish = {.names = {.subject = {{.type = "CN", .value = "gateway"}, {.type = "OU", .value = "lab"}},
                                    .alternatives = {{.kind = Kind::dns, .value = "gw.example"}}},
                          .name_policy = NamePolicy::exact,
                          .algorithms = {KeyAlgorithm::ec_p384, KeyAlgorithm::ec_p256},
                          .facts = {{"2.5.4.5", "4711"}, {mac_address, "02:00:5e:00:53:01"}}};

RequestWish changeable() {
  RequestWish lenient = wish;
  lenient.name_policy = NamePolicy::ca_may_change;
  return lenient;
}

CsrAttributes subject_of(std::vector<SubjectAttributeTemplate> subject) {
  CsrAttributes wanted;
  wanted.subject = std::move(subject);
  return wanted;
}

class ARequestPlan : public testing::Test {
 protected:
  static RequestPlan plan(const CsrAttributes& wanted, const RequestWish& from = wish) {
    auto made = plan_request(wanted, from);
    EXPECT_TRUE(made) << made.error().sentence();
    return made ? *made : RequestPlan{};
  }

  static void expect_unmet(const CsrAttributes& wanted, const std::string& reason, const RequestWish& from = wish) {
    const auto made = plan_request(wanted, from);
    ASSERT_FALSE(made) << reason;
    EXPECT_EQ(made.error().code, Errc::demand_unmet);
    EXPECT_EQ(made.error().retry, Retry::after_operator);
    EXPECT_THAT(made.error().reason, HasSubstr(reason));
    EXPECT_THAT(made.error().hint, HasSubstr("profile"));
  }

  [[nodiscard]] Bytes value(const std::string& item) const { return to_bytes(as_bytes(text.der(item))); }

  [[nodiscard]] CsrAttributes extension(const std::string& oid, const std::optional<std::string>& item,
                                        bool critical = false) const {
    CsrAttributes wanted;
    wanted.extensions = {{.oid = oid, .critical = critical, .value = std::nullopt}};
    if (item) wanted.extensions[0].value = value(*item);
    return wanted;
  }

  /// The request that comes of a plan, DER, and the key that it is for.
  std::pair<Bytes, PublicKey> request(const RequestPlan& made) {
    auto key = token.create_key({.algorithm = made.algorithm, .label = "test"});
    auto signing = SigningKey::wrap(**key);
    const auto der = make_csr(**signing, made.csr);
    EXPECT_TRUE(der) << der.error().sentence();
    EXPECT_TRUE(der && asks_for(*der, made.csr.names));
    return {der.value_or(Bytes()), (*key)->public_key()};
  }

  /// The openssl command's reading of the request that comes of a plan, with its signature verified.
  std::string openssl_reads(const RequestPlan& made) {
    const Bytes der = request(made).first;
    const auto outcome = test::run(
        {.argv = {"openssl", "req", "-inform", "DER", "-text", "-noout", "-verify", "-nameopt", "utf8,sep_comma_plus"},
         .input = std::string(as_text(der))});
    EXPECT_THAT(outcome.errors, HasSubstr("verify OK"));
    return outcome.output;
  }

  test::Asn1Text text;
  test::FakeHardware hardware;
  test::FakeToken token{hardware};
};

TEST_F(ARequestPlan, IsTheProfilesIfTheServerWantsNothing) {
  const RequestPlan made = plan({});
  EXPECT_EQ(made.algorithm, KeyAlgorithm::ec_p384);
  EXPECT_EQ(made.csr.names, wish.names);
  EXPECT_EQ(made.csr.digest, std::nullopt);
  EXPECT_FALSE(made.wants_binding);
  EXPECT_THAT(made.csr.extensions, IsEmpty());
  EXPECT_THAT(made.csr.attributes, IsEmpty());
  EXPECT_THAT(made.remarks, IsEmpty());
}

TEST_F(ARequestPlan, HasTheDigestAndTheBindingThatTheServerWants) {
  CsrAttributes wanted;
  wanted.challenge_password = true;
  wanted.digests = {Digest::sha512};
  const RequestPlan made = plan(wanted);
  EXPECT_TRUE(made.wants_binding);
  EXPECT_FALSE(made.csr.challenge_password);
  EXPECT_THAT(openssl_reads(made), HasSubstr("Signature Algorithm: ecdsa-with-SHA512"));
}

TEST_F(ARequestPlan, HasTheDigestOfItsKeyIfTheServerTakesItElseTheShortest) {
  constexpr auto sha256 = Digest::sha256;
  constexpr auto sha384 = Digest::sha384;
  constexpr auto sha512 = Digest::sha512;
  const std::vector<std::tuple<KeyAlgorithm, std::vector<Digest>, Digest>> table = {
      {KeyAlgorithm::ec_p256, {sha512, sha256}, sha256},  {KeyAlgorithm::ec_p256, {sha512, sha384}, sha384},
      {KeyAlgorithm::ec_p384, {sha512, sha256}, sha256},  {KeyAlgorithm::ec_p384, {sha256, sha384}, sha384},
      {KeyAlgorithm::rsa_2048, {sha384, sha256}, sha256}, {KeyAlgorithm::ec_p521, {sha256, sha384, sha512}, sha512},
      {KeyAlgorithm::rsa_2048, {sha512}, sha512},
  };
  for (const auto& [algorithm, listed, digest] : table) {
    CsrAttributes wanted;
    wanted.digests = listed;
    const auto made = plan_request(wanted, {.names = wish.names, .algorithms = {algorithm}});
    ASSERT_TRUE(made) << made.error().sentence();
    EXPECT_EQ(made->csr.digest, digest) << algorithm_name(algorithm);
  }
}

TEST_F(ARequestPlan, TakesTheFirstAllowedKeyThatTheServerTakes) {
  CsrAttributes wanted;
  wanted.keys = {{.text = "rsaEncryption 2048", .algorithms = {KeyAlgorithm::rsa_2048}},
                 {.text = "id-ecPublicKey prime256v1", .algorithms = {KeyAlgorithm::ec_p256}}};
  EXPECT_EQ(plan(wanted).algorithm, KeyAlgorithm::ec_p256);
  wanted.keys[1].algorithms = {KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384};
  EXPECT_EQ(plan(wanted).algorithm, KeyAlgorithm::ec_p384);
  wanted.keys.pop_back();
  wanted.keys.push_back({.text = "brainpoolP384r1", .algorithms = {}});
  expect_unmet(wanted,
               "it wants a key of rsaEncryption 2048 or brainpoolP384r1, and the profile allows ec-p384, ec-p256");
}

// --- subject ---

TEST_F(ARequestPlan, HasASubjectInTheOrderOfTheTemplate) {
  const RequestPlan made = plan(subject_of({{.oid = "2.5.4.10", .value = "Exämple"},
                                            {.oid = "2.5.4.11", .value = std::nullopt},
                                            {.oid = "1.3.6.1.4.1.99999.7", .value = "x"}}),
                                changeable());
  EXPECT_THAT(made.csr.names.subject,
              ElementsAre(NameAttribute{.type = "O", .value = "Exämple"}, NameAttribute{.type = "OU", .value = "lab"},
                          NameAttribute{.type = "1.3.6.1.4.1.99999.7", .value = "x"},
                          NameAttribute{.type = "CN", .value = "gateway"}));
  EXPECT_THAT(made.remarks, IsEmpty());
  EXPECT_THAT(openssl_reads(made), HasSubstr("Subject: O=Exämple,OU=lab,1.3.6.1.4.1.99999.7=x,CN=gateway\n"));
}

TEST_F(ARequestPlan, KeepsTheProfilesSubjectUnlessTheCaMayChangeIt) {
  const RequestPlan made = plan(subject_of({{.oid = "2.5.4.10", .value = "Example"}}));
  EXPECT_EQ(made.csr.names, wish.names);
  EXPECT_THAT(made.remarks, ElementsAre("subject attribute O=Example: the profile does not let the CA change names"));
}

TEST_F(ARequestPlan, NeverGivesUpANameOfTheProfile) {
  const CsrAttributes other = subject_of({{.oid = "2.5.4.3", .value = "another"}});
  expect_unmet(other, "subject attribute CN=another, for which the profile has another value");
  const RequestPlan made = plan(other, changeable());
  EXPECT_EQ(made.csr.names, wish.names);
  EXPECT_THAT(made.remarks, ElementsAre("subject attribute CN=another: the profile has another value"));
  EXPECT_THAT(plan(subject_of({{.oid = "2.5.4.3", .value = "gateway"}})).remarks, IsEmpty());
}

TEST_F(ARequestPlan, KnowsAnAttributeOfTheProfileByItsOid) {
  RequestWish digits = wish;
  digits.names.subject = {{.type = "2.5.4.3", .value = "gateway"}};
  EXPECT_EQ(plan(subject_of({{.oid = "2.5.4.3", .value = "gateway"}}), digits).csr.names, digits.names);
  expect_unmet(subject_of({{.oid = "2.5.4.3", .value = "another"}}), "another value", digits);
}

TEST_F(ARequestPlan, KeepsAllValuesOfAnAttributeOnce) {
  RequestWish two = wish;
  two.names.subject = {{.type = "OU", .value = "a"}, {.type = "CN", .value = "x"}, {.type = "OU", .value = "b"}};
  const RequestPlan made =
      plan(subject_of({{.oid = "2.5.4.11", .value = "b"}, {.oid = "2.5.4.11", .value = "a"}}), two);
  EXPECT_THAT(made.csr.names.subject,
              ElementsAre(NameAttribute{.type = "OU", .value = "a"}, NameAttribute{.type = "OU", .value = "b"},
                          NameAttribute{.type = "CN", .value = "x"}));
}

TEST_F(ARequestPlan, FillsASubjectFromTheFacts) {
  const RequestPlan made =
      plan(subject_of({{.oid = "2.5.4.5", .value = std::nullopt}, {.oid = "2.5.4.7", .value = std::nullopt}}));
  EXPECT_THAT(made.csr.names.subject.front(), (NameAttribute{.type = "serialNumber", .value = "4711"}));
  EXPECT_EQ(made.csr.names.subject.size(), 3U);
  EXPECT_THAT(made.remarks, ElementsAre("subject attribute L: its value is not known here"));
}

TEST_F(ARequestPlan, LeavesOutWhatASubjectCannotHold) {
  const RequestPlan made =
      plan(subject_of({{.oid = "2.5.4.6", .value = "Germany"}, {.oid = "x", .value = "y"}}), changeable());
  EXPECT_EQ(made.csr.names, wish.names);
  EXPECT_THAT(made.remarks, ElementsAre("subject attribute C=Germany: it cannot be asked for",
                                        "subject attribute x=y: it cannot be asked for"));
}

TEST_F(ARequestPlan, IsBoundedWhateverTheServerWants) {
  std::vector<SubjectAttributeTemplate> many;
  for (int i = 0; i < 1000; ++i) many.push_back({.oid = "2.5.4.10", .value = std::to_string(i)});
  const RequestPlan made = plan(subject_of(many), changeable());
  EXPECT_EQ(made.csr.names.subject.size(), 34U);
  EXPECT_EQ(made.remarks.size(), 17U);
  std::vector<std::string> names;
  for (int i = 0; i < 1000; ++i) names.push_back("IMPLICIT:2,IA5:n" + std::to_string(i));
  EXPECT_EQ(plan(extension("2.5.29.17", text.sequence(names)), changeable()).csr.names.alternatives.size(), 33U);
}

TEST_F(ARequestPlan, IsWhatTheAnswerIsMeasuredBy) {
  test::TestPki pki;
  pki.make_ca("root");
  const RequestPlan made = plan(subject_of({{.oid = "2.5.4.5", .value = std::nullopt}}));
  const auto [der, public_key] = request(made);
  const std::string pem =
      test::output_of({.argv = {"openssl", "req", "-inform", "DER"}, .input = std::string(as_text(der))});
  const auto answer = test::certificate_of(
      pki.sign_request(pem, {.issuer = "root", .alternative_names = {"DNS:gw.example"}}).certificate_pem);
  Expectation expectation{.public_key = public_key,
                          .names = made.csr.names,
                          .name_policy = NamePolicy::exact,
                          .anchors = {test::certificate_of(pki.ca("root").certificate_pem)},
                          .intermediates = {}};
  const Time now = answer.not_before() + Seconds{60};
  const auto accepted = accept({answer}, expectation, now);
  EXPECT_TRUE(accepted) << accepted.error().sentence();
  expectation.names = wish.names;
  EXPECT_EQ(accept({answer}, expectation, now).error().code, Errc::certificate_wrong_name);
}

// --- alternative names ---

TEST_F(ARequestPlan, AddsAlternativeNamesIfTheCaMayChangeThem) {
  const auto wanted = extension(
      "2.5.29.17",
      text.sequence({"IMPLICIT:2,IA5:gw.example", "IMPLICIT:2,IA5:other.example", "IMPLICIT:7,FORMAT:HEX,OCT:C0000201",
                     "IMPLICIT:6,IA5:urn:x:1", "IMPLICIT:1,IA5:a@b.example"}),
      true);
  const RequestPlan made = plan(wanted, changeable());
  EXPECT_THAT(openssl_reads(made),
              HasSubstr("X509v3 Subject Alternative Name: critical\n                    DNS:gw.example, "
                        "DNS:other.example, IP Address:192.0.2.1, URI:urn:x:1, email:a@b.example"));
  EXPECT_THAT(made.csr.extensions, IsEmpty());
  EXPECT_THAT(made.remarks, IsEmpty());
  const RequestPlan exact = plan(wanted);
  EXPECT_EQ(exact.csr.names, wish.names);
  EXPECT_EQ(exact.remarks.size(), 4U);
  EXPECT_EQ(exact.remarks[0], "alternative name DNS:other.example: the profile does not let the CA change names");
}

TEST_F(ARequestPlan, FillsBlankAlternativeNamesFromTheProfile) {
  const RequestPlan made =
      plan(extension("2.5.29.17", text.sequence({"IMPLICIT:2,IA5:", "IMPLICIT:7,OCT:"})), changeable());
  EXPECT_EQ(made.csr.names, wish.names);
  EXPECT_THAT(made.remarks, ElementsAre(HasSubstr("the profile has none of this kind")));
  EXPECT_THAT(plan(extension("2.5.29.17", std::nullopt)).remarks, IsEmpty());
  RequestWish nameless = wish;
  nameless.names.alternatives.clear();
  EXPECT_THAT(plan(extension("2.5.29.17", std::nullopt), nameless).remarks,
              ElementsAre("an alternative name: the profile has none"));
}

TEST_F(ARequestPlan, LeavesOutAlternativeNamesThatCannotBeAskedFor) {
  const auto wanted = extension(
      "2.5.29.17", text.sequence({"IMPLICIT:0," + text.sequence({"OID:1.3.6.1.5.5.7.8.10", "EXPLICIT:0,IA5:x"}),
                                  "EXPLICIT:4," + text.sequence({}), "IMPLICIT:8,OID:1.2.3",
                                  "IMPLICIT:2,FORMAT:HEX,OCT:610062", "IMPLICIT:7,FORMAT:HEX,OCT:C00002"}));
  const RequestPlan made = plan(wanted, changeable());
  EXPECT_EQ(made.csr.names, wish.names);
  EXPECT_THAT(made.remarks, ElementsAre("alternative name otherName:1.3.6.1.5.5.7.8.10: it cannot be asked for",
                                        HasSubstr("dirName:"), HasSubstr("RID:1.2.3"), HasSubstr("DNS:a\\x00b"),
                                        HasSubstr("IP:unreadable")));
}

// --- extensions ---

TEST_F(ARequestPlan, TakesExtensionsAsTheyAre) {
  CsrAttributes wanted;
  wanted.extensions = {
      {.oid = "2.5.29.19", .critical = true, .value = value(text.sequence({}))},
      {.oid = "2.5.29.15", .critical = true, .value = value("FORMAT:HEX,BITSTR:88")},
      {.oid = "2.5.29.37", .critical = false, .value = value(text.sequence({"OID:emailProtection", "OID:clientAuth"}))},
      {.oid = "1.3.6.1.4.1.99999.1", .critical = false, .value = value("UTF8:whatever")}};
  const RequestPlan made = plan(wanted);
  EXPECT_THAT(openssl_reads(made),
              AllOf(HasSubstr("Basic Constraints: critical\n                    CA:FALSE"),
                    HasSubstr("Key Usage: critical\n                    Digital Signature, Key Agreement"),
                    HasSubstr("Extended Key Usage: \n                    E-mail Protection, TLS Web Client Auth"),
                    HasSubstr("1.3.6.1.4.1.99999.1: \n                    ..whatever")));
  EXPECT_THAT(made.remarks, IsEmpty());
}

TEST_F(ARequestPlan, ChoosesTheUsagesThatTheServerLeavesOpen) {
  CsrAttributes wanted;
  for (const std::string oid : {"2.5.29.15", "2.5.29.37", "2.5.29.19"})
    wanted.extensions.push_back({.oid = oid, .critical = false, .value = std::nullopt});
  const RequestPlan made = plan(wanted);
  EXPECT_THAT(made.remarks, ElementsAre("extension basicConstraints: its value is not known here"));
  EXPECT_THAT(openssl_reads(made), AllOf(HasSubstr("Key Usage: critical\n                    Digital Signature\n"),
                                         HasSubstr("TLS Web Client Authentication\n")));
}

TEST_F(ARequestPlan, IsNotMadeForACertificateThatWouldNotBeAccepted) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"2.5.29.19", text.sequence({"BOOL:TRUE"}), "say CA"},
      {"2.5.29.19", "NULL", "basicConstraints that cannot be read"},
      {"2.5.29.15", "FORMAT:HEX,BITSTR:20", "without digitalSignature"},
      {"2.5.29.15", "FORMAT:HEX,BITSTR:84", "with keyCertSign"},
      {"2.5.29.15", "OCT:", "keyUsage that cannot be read"},
      {"2.5.29.37", text.sequence({"OID:serverAuth", "OID:anyExtendedKeyUsage"}), "without clientAuth"},
      {"2.5.29.37", "OID:clientAuth", "extendedKeyUsage that cannot be read"},
      {"2.5.29.17", "UTF8:x", "subjectAltName that cannot be read"},
  };
  for (const auto& [oid, item, reason] : cases) expect_unmet(extension(oid, item), reason);
  CsrAttributes longer = extension("2.5.29.19", text.sequence({}));
  longer.extensions[0].value->push_back(std::byte{0});
  expect_unmet(longer, "bytes follow");
  EXPECT_THAT(plan(extension("2.5.29.19", text.sequence({"BOOL:FALSE"}))).csr.extensions.size(), 1U);
}

// --- facts ---

TEST_F(ARequestPlan, TellsTheFactsThatItKnows) {
  CsrAttributes wanted;
  wanted.facts = {"2.5.4.5", mac_address, "1.3.6.1.4.1.40808.1.1.3"};
  wanted.ignored = {"friendlyName\x1b"};
  const RequestPlan made = plan(wanted);
  EXPECT_THAT(openssl_reads(made), AllOf(HasSubstr("serialNumber             :4711\n"),
                                         HasSubstr("1.3.6.1.1.1.1.22         :02:00:5e:00:53:01\n")));
  EXPECT_THAT(made.csr.attributes,
              ElementsAre(RequestAttribute{.oid = "2.5.4.5", .values = {value("PRINTABLE:4711")}},
                          RequestAttribute{.oid = mac_address, .values = {value("IA5:02:00:5e:00:53:01")}}));
  EXPECT_THAT(made.remarks,
              ElementsAre("1.3.6.1.4.1.40808.1.1.3: it is not known here", "not understood: friendlyName\\x1b"));
}

TEST_F(ARequestPlan, EncodesAFactAsTheTextThatItIs) {
  const auto encoded = [](const std::string& oid, const std::string& fact) {
    CsrAttributes wanted;
    wanted.facts = {oid};
    RequestWish with = wish;
    with.facts = {{oid, fact}};
    const auto made = plan(wanted, with);
    return made.csr.attributes.empty() ? Bytes() : made.csr.attributes[0].values[0];
  };
  EXPECT_EQ(encoded("2.5.4.5", "a_b"), value("UTF8:a_b"));
  EXPECT_EQ(encoded("2.5.4.5", "Gerät"), value("FORMAT:UTF8,UTF8:Gerät"));
  EXPECT_EQ(encoded(mac_address, "a_b"), value("IA5:a_b"));
  EXPECT_EQ(encoded(mac_address, "Gerät"), value("FORMAT:UTF8,UTF8:Gerät"));
  EXPECT_EQ(encoded("2.5.4.5", "\xff\xfe"), Bytes());
  EXPECT_EQ(encoded("2.5.4.5", ""), Bytes());
  EXPECT_EQ(encoded("2.5.4.5", std::string(257, 'x')), Bytes());
}

TEST_F(ARequestPlan, TellsNoFactThatTheSubjectTells) {
  CsrAttributes wanted = subject_of({{.oid = "2.5.4.5", .value = std::nullopt}});
  wanted.facts = {"2.5.4.5"};
  const RequestPlan made = plan(wanted);
  EXPECT_THAT(made.csr.attributes, IsEmpty());
  EXPECT_THAT(made.remarks, IsEmpty());
}

}  // namespace
}  // namespace devid::pki
