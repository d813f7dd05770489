#include "agent/pki/acceptance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_of.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using Kind = AlternativeName::Kind;
using test::certificate_of;
using test::CertificateSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A request for O=Exämple, CN=gateway, DNS:gw.example, IP:192.0.2.1, and a CA two steps below the anchor.
class ACaThatAnswers : public testing::Test {
 protected:
  ACaThatAnswers() {
    pki.make_ca("root");
    pki.make_ca("issuing", "root");
    const auto key = certificate_of(pki.issue(good()).certificate_pem).public_key();
    // The certificate above brought a key of its own into being; from now on it is the requested one.
    requested_key = test::public_key_pem(std::string(as_text(key->spki)));
    expectation.public_key = *key;
    expectation.names = {
        .subject = {{.type = "O", .value = "Exämple"}, {.type = "CN", .value = "gateway"}},
        .alternatives = {{.kind = Kind::dns, .value = "gw.example"}, {.kind = Kind::ip, .value = "192.0.2.1"}}};
    expectation.anchors = {ca("root")};
    expectation.intermediates = {ca("issuing")};
  }

  static CertificateSpec good() {
    return {.issuer = "issuing",
            .subject = "/O=Exämple/CN=gateway",
            .alternative_names = {"DNS:gw.example", "IP:192.0.2.1"}};
  }
  Certificate ca(const std::string& name) { return certificate_of(pki.ca(name).certificate_pem); }

  /// A certificate for the requested key.
  Certificate issue(CertificateSpec spec) {
    spec.public_key = requested_key;
    return certificate_of(pki.issue(spec).certificate_pem);
  }
  Result<Accepted> judge(const CertificateSpec& spec) {
    const Certificate leaf = issue(spec);
    return accept({leaf}, expectation, now());
  }

  void expect_accepted(const CertificateSpec& spec, const std::string& what) {
    const auto accepted = judge(spec);
    EXPECT_TRUE(accepted) << what << ": " << accepted.error().sentence();
  }
  static void expect_refused(const Result<Accepted>& accepted, Errc code, const std::string& reason) {
    ASSERT_FALSE(accepted) << reason;
    EXPECT_EQ(code_name(accepted.error().code), code_name(code)) << accepted.error().sentence();
    EXPECT_EQ(accepted.error().retry, Retry::later);
    EXPECT_THAT(accepted.error().reason, HasSubstr(reason));
    EXPECT_FALSE(accepted.error().hint.empty());
  }
  [[nodiscard]] static Time now() { return SystemClock().now(); }

  test::TestPki pki;
  std::string requested_key;
  Expectation expectation;
};

TEST_F(ACaThatAnswers, IsBelievedWhenEverythingIsRight) {
  const Certificate leaf = issue(good());
  const auto accepted = accept({leaf}, expectation, now());
  ASSERT_TRUE(accepted) << accepted.error().sentence();
  EXPECT_EQ(accepted->leaf, leaf);
  EXPECT_THAT(accepted->chain, ElementsAre(ca("issuing")));
}

TEST_F(ACaThatAnswers, MayReturnTheChainInAnyOrderAndTwice) {
  const Certificate leaf = issue(good());
  expectation.intermediates.clear();
  for (const auto& returned : {std::vector{leaf, ca("issuing"), ca("root")},
                               {ca("root"), ca("issuing"), leaf},
                               {ca("issuing"), leaf, leaf, ca("issuing")}}) {
    const auto accepted = accept(returned, expectation, now());
    ASSERT_TRUE(accepted) << accepted.error().sentence();
    EXPECT_EQ(accepted->leaf, leaf);
    EXPECT_THAT(accepted->chain, ElementsAre(ca("issuing")));
  }
}

TEST_F(ACaThatAnswers, MayIssueDirectlyBelowTheAnchor) {
  CertificateSpec spec = good();
  spec.issuer = "root";
  const auto accepted = judge(spec);
  ASSERT_TRUE(accepted) << accepted.error().sentence();
  EXPECT_THAT(accepted->chain, IsEmpty());
}

TEST_F(ACaThatAnswers, IsRefusedWithACertificateForAnotherKey) {
  const Certificate other = certificate_of(pki.issue(good()).certificate_pem);
  expect_refused(accept({other, ca("issuing")}, expectation, now()), Errc::certificate_wrong_key, "2 certificates");
  expect_refused(accept({}, expectation, now()), Errc::certificate_wrong_key, "0 certificates");
  CertificateSpec unknown = good();
  unknown.key = test::TestKey::rsa_1024;
  expect_refused(accept({certificate_of(pki.issue(unknown).certificate_pem)}, expectation, now()),
                 Errc::certificate_wrong_key, "1 certificates");
}

TEST_F(ACaThatAnswers, IsRefusedWhenTheChainDoesNotLeadToTheAnchors) {
  pki.make_ca("stranger");
  CertificateSpec spec = good();
  spec.issuer = "stranger";
  expect_refused(accept({issue(spec), ca("stranger")}, expectation, now()), Errc::certificate_untrusted, "no issuer");
  expectation.intermediates.clear();
  expect_refused(judge(good()), Errc::certificate_untrusted, "no issuer is known");
}

TEST_F(ACaThatAnswers, IsRefusedWhenABitOfTheSignatureIsWrong) {
  std::string der(as_text(issue(good()).der()));
  der.back() = static_cast<char>(der.back() ^ 1);
  const auto forged = Certificate::from_der(as_bytes(der));
  ASSERT_TRUE(forged) << forged.error().sentence();
  expect_refused(accept({*forged}, expectation, now()), Errc::certificate_untrusted, "no issuer is known");
}

TEST_F(ACaThatAnswers, IsRefusedOutsideOfTheValidity) {
  CertificateSpec spec = good();
  spec.not_after = now() + 240h;
  const Certificate leaf = issue(spec);
  for (const Time then : {leaf.not_before() - 61s, leaf.not_after() + 1s}) {
    const auto accepted = accept({leaf}, expectation, then);
    expect_refused(accepted, Errc::certificate_not_valid_now, "and here it is " + utc_text(then));
    EXPECT_THAT(accepted.error().hint, HasSubstr("clock"));
  }
  // Up to a minute the clock of the device may be behind.
  for (const Time then : {leaf.not_before() - 60s, leaf.not_before(), leaf.not_after() - 1s})
    EXPECT_TRUE(accept({leaf}, expectation, then));
  spec.not_after = now() - 23h;
  expect_refused(judge(spec), Errc::certificate_not_valid_now, "it is valid from");
}

TEST_F(ACaThatAnswers, MayIssueForEver) {
  CertificateSpec spec = good();
  spec.public_key.clear();
  spec.not_after = Time(253402300799s);
  const Certificate leaf = certificate_of(pki.issue(spec).certificate_pem);
  expectation.public_key = *leaf.public_key();
  EXPECT_TRUE(accept({leaf}, expectation, now()));
}

TEST_F(ACaThatAnswers, IsRefusedWithACaCertificate) {
  const auto as_ca = [&](const std::string& constraints, const std::string& usage) {
    CertificateSpec spec = good();
    spec.basic_constraints = constraints;
    spec.key_usage = usage;
    return judge(spec);
  };
  expect_refused(as_ca("critical,CA:TRUE", "digitalSignature,keyCertSign"), Errc::certificate_is_ca, "keyCertSign");
  expect_refused(as_ca("critical,CA:TRUE", "digitalSignature"), Errc::certificate_is_ca, "basicConstraints");
  expect_refused(as_ca("CA:TRUE,pathlen:0", ""), Errc::certificate_is_ca, "basicConstraints");
  expect_refused(as_ca("critical,CA:FALSE", "digitalSignature,keyCertSign"), Errc::certificate_is_ca, "keyCertSign");
  expect_refused(as_ca("", "digitalSignature,keyCertSign"), Errc::certificate_is_ca, "keyCertSign");
}

TEST_F(ACaThatAnswers, IsRefusedWhenTheCertificateMayNotBeUsed) {
  const auto with = [&](const std::string& usage, const std::string& extended) {
    CertificateSpec spec = good();
    spec.key_usage = usage;
    spec.extended_key_usage = extended;
    return spec;
  };
  const Errc wrong = Errc::certificate_wrong_usage;
  expect_refused(judge(with("critical,keyEncipherment", "clientAuth")), wrong, "digitalSignature");
  expect_refused(judge(with("keyAgreement,nonRepudiation", "")), wrong, "digitalSignature");
  expect_refused(judge(with("digitalSignature", "serverAuth")), wrong, "clientAuth");
  expect_refused(judge(with("", "codeSigning,1.2.3.4")), wrong, "clientAuth");
  expect_refused(judge(with("", "anyExtendedKeyUsage")), wrong, "clientAuth");
  expect_accepted(with("", "clientAuth"), "no keyUsage");
  expect_accepted(with("digitalSignature", ""), "no extendedKeyUsage");
  expect_accepted(with("", ""), "neither");
  expect_accepted(with("digitalSignature,keyAgreement", "serverAuth,clientAuth"), "more than needed");
}

TEST_F(ACaThatAnswers, MayLeaveBasicConstraintsOut) {
  CertificateSpec spec = good();
  spec.basic_constraints = "";
  expect_accepted(spec, "no basicConstraints");
}

TEST_F(ACaThatAnswers, IsRefusedWithAnotherSubject) {
  const std::vector<std::pair<std::string, std::string>> subjects = {
      {"/", "missing: 2.5.4.10=Exämple, 2.5.4.3=gateway"},
      {"/CN=gateway", "missing: 2.5.4.10=Exämple"},
      {"/O=Exämple/CN=gateway2", "missing: 2.5.4.3=gateway; not asked for: 2.5.4.3=gateway2"},
      {"/O=Exämple/CN=Gateway", "not asked for: 2.5.4.3=Gateway"},
      {"/O=Example/CN=gateway", "not asked for: 2.5.4.10=Example"},
      {"/O=Exämple/CN=gateway/OU=x", "not asked for: 2.5.4.11=x"},
      {"/O=Exämple/CN=gateway/CN=gateway", "not asked for: 2.5.4.3=gateway"},
      {"/O=Exämple/OU=gateway", "missing: 2.5.4.3=gateway; not asked for: 2.5.4.11=gateway"},
      {"/O=gateway/CN=Exämple", "missing"},
  };
  for (const auto& [subject, reason] : subjects) {
    CertificateSpec spec = good();
    spec.subject = subject;
    expect_refused(judge(spec), Errc::certificate_wrong_name, reason);
  }
}

TEST_F(ACaThatAnswers, MayReorderAndReencodeTheSubject) {
  CertificateSpec spec = good();
  spec.subject = "/CN=gateway/O=Exämple";
  expect_accepted(spec, "re-ordered");
  spec.subject = "/O=Exämple+CN=gateway";
  expect_accepted(spec, "one RDN");
  spec.string_mask = "pkix";  // the CN becomes a PrintableString, the O a BMPString
  expect_accepted(spec, "re-encoded");
}

TEST_F(ACaThatAnswers, IsRefusedWithOtherAlternativeNames) {
  const std::vector<std::pair<std::vector<std::string>, std::string>> lists = {
      {{}, "missing: DNS:gw.example, IP:192.0.2.1"},
      {{"DNS:gw.example"}, "missing: IP:192.0.2.1"},
      {{"DNS:gw.example", "IP:192.0.2.2"}, "missing: IP:192.0.2.1; not asked for: IP:192.0.2.2"},
      {{"DNS:gw.example", "IP:192.0.2.1", "DNS:evil.example"}, "not asked for: DNS:evil.example"},
      {{"DNS:gw.example", "IP:192.0.2.1", "URI:urn:x"}, "not asked for: URI:urn:x"},
      {{"DNS:gw.example", "IP:192.0.2.1", "otherName:1.2.3.4;UTF8:x"}, "not asked for: otherName:1.2.3.4"},
      {{"DNS:gw.example", "DNS:192.0.2.1"}, "missing: IP:192.0.2.1; not asked for: DNS:192.0.2.1"},
      {{"DNS:*.example", "IP:192.0.2.1"}, "missing: DNS:gw.example; not asked for: DNS:*.example"},
  };
  for (const auto& [names, reason] : lists) {
    CertificateSpec spec = good();
    spec.alternative_names = names;
    expect_refused(judge(spec), Errc::certificate_wrong_name, reason);
  }
}

TEST_F(ACaThatAnswers, IsRefusedWhenAnAlternativeNameHidesMoreBehindANul) {
  CertificateSpec spec = good();
  spec.alternative_names.clear();
  expectation.names.alternatives = {{.kind = Kind::dns, .value = "gw"}};
  spec.more_extensions = {"subjectAltName=DER:300482026777"};  // "gw"
  expect_accepted(spec, "the same without NUL");
  spec.more_extensions = {"subjectAltName=DER:300682046777002e"};  // "gw\0."
  expect_refused(judge(spec), Errc::certificate_wrong_name, R"(not asked for: DNS:gw\x00.)");
  spec.more_extensions = {"subjectAltName=DER:300682096777"};
  expect_refused(judge(spec), Errc::certificate_untrusted, "malformed");
}

TEST_F(ACaThatAnswers, MayReorderAlternativeNamesAndChangeTheCaseOfAHost) {
  CertificateSpec spec = good();
  spec.alternative_names = {"IP:192.0.2.1", "DNS:GW.Example", "DNS:gw.example"};
  expect_accepted(spec, "re-ordered, upper case, twice");
}

TEST_F(ACaThatAnswers, MayChangeTheNamesIfTheProfileSaysSo) {
  expectation.name_policy = NamePolicy::ca_may_change;
  CertificateSpec spec = good();
  spec.subject = "/CN=device-4711";
  spec.alternative_names = {"DNS:device-4711.example"};
  expect_accepted(spec, "other names");
  spec.basic_constraints = "critical,CA:TRUE";
  expect_refused(judge(spec), Errc::certificate_is_ca, "basicConstraints");
}

TEST_F(ACaThatAnswers, IsRefusedWithACriticalExtensionThatNobodyUnderstands) {
  CertificateSpec spec = good();
  spec.more_extensions = {"1.2.3.9=critical,DER:0500"};
  expect_refused(judge(spec), Errc::certificate_untrusted, "unhandled critical extension");
}

TEST_F(ACaThatAnswers, IsRefusedWithADamagedExtension) {
  CertificateSpec spec = good();
  spec.key_usage = "";
  spec.more_extensions = {"keyUsage=DER:0500"};
  expect_refused(judge(spec), Errc::certificate_untrusted, "malformed or there twice");
}

TEST_F(ACaThatAnswers, IsRefusedWithAWeakSignature) {
  CertificateSpec spec = good();
  spec.digest = "sha1";
  expect_refused(judge(spec), Errc::certificate_untrusted, "too weak");
}

TEST_F(ACaThatAnswers, MayReturnAGoodCertificateBesideABadOneForTheSameKey) {
  CertificateSpec spec = good();
  spec.extended_key_usage = "serverAuth";
  const Certificate bad = issue(spec);
  const Certificate leaf = issue(good());
  for (const auto& returned : {std::vector{bad, leaf}, {leaf, bad}}) {
    const auto accepted = accept(returned, expectation, now());
    ASSERT_TRUE(accepted) << accepted.error().sentence();
    EXPECT_EQ(accepted->leaf, leaf);
  }
  spec.subject = "/CN=other";
  const Certificate worse = issue(spec);
  expect_refused(accept({bad, worse}, expectation, now()), Errc::certificate_wrong_usage, "clientAuth");
}

TEST_F(ACaThatAnswers, CostsLittleWithSixtyFourHostileCertificates) {
  pki.make_ca("issuing-2");
  std::vector<Certificate> returned;
  for (int i = 0; i < 64; ++i) {
    CertificateSpec spec = good();
    spec.issuer = "issuing-2";
    returned.push_back(issue(spec));
  }
  const auto begin = std::chrono::steady_clock::now();
  expect_refused(accept(returned, expectation, now()), Errc::certificate_untrusted, "no issuer is known");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

TEST_F(ACaThatAnswers, CannotMakeAForeignTextUnprintable) {
  CertificateSpec spec = good();
  spec.subject = "/O=Exämple/CN=\x1b[31mred";
  const auto accepted = judge(spec);
  ASSERT_FALSE(accepted);
  EXPECT_EQ(accepted.error().sentence().find('\x1b'), std::string::npos);
}

}  // namespace
}  // namespace devid::pki
