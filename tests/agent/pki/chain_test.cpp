#include "agent/pki/chain.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using test::certificate_of;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Signs the CA `name` again: the same name and key, issued by another CA.
std::string cross_sign(test::TestPki& pki, const std::string& name, const std::string& issuer,
                       test::CertificateSpec spec) {
  const std::string request =
      test::output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca(name).key, "-subj", "/CN=" + name}});
  spec.issuer = issuer;
  return pki.sign_request(request, spec).certificate_pem;
}

class AChain : public testing::Test {
 protected:
  AChain() {
    pki.make_ca("root");
    pki.make_ca("upper", "root");
    pki.make_ca("lower", "upper");
  }

  Certificate ca(const std::string& name) { return certificate_of(pki.ca(name).certificate_pem); }
  Certificate leaf(test::CertificateSpec spec = {}) {
    if (spec.issuer.empty()) spec.issuer = "lower";
    return certificate_of(pki.issue(spec).certificate_pem);
  }

  static void expect_untrusted(const Result<std::vector<Certificate>>& chain, const std::string& reason) {
    ASSERT_FALSE(chain) << reason;
    EXPECT_EQ(chain.error().code, Errc::certificate_untrusted);
    EXPECT_THAT(chain.error().reason, HasSubstr(reason));
  }

  test::TestPki pki;
  Time now = SystemClock().now();
};

TEST_F(AChain, LeadsFromTheLeafToBelowTheAnchor) {
  const std::vector<Certificate> pool = {ca("root"), ca("upper"), ca("lower")};
  const auto chain = build_chain(leaf(), pool, {ca("root")}, now);
  ASSERT_TRUE(chain) << chain.error().sentence();
  EXPECT_THAT(*chain, ElementsAre(ca("lower"), ca("upper")));
}

TEST_F(AChain, EndsAtTheFirstAnchorWhetherSelfSignedOrNot) {
  const auto chain = build_chain(leaf(), {ca("lower"), ca("upper")}, {ca("root"), ca("upper")}, now);
  ASSERT_TRUE(chain) << chain.error().sentence();
  EXPECT_THAT(*chain, ElementsAre(ca("lower")));
  const auto short_chain = build_chain(leaf(), {}, {ca("lower")}, now);
  ASSERT_TRUE(short_chain) << short_chain.error().sentence();
  EXPECT_THAT(*short_chain, IsEmpty());
}

TEST_F(AChain, OfAnAnchorItselfIsEmpty) {
  const auto chain = build_chain(ca("root"), {}, {ca("root")}, now);
  ASSERT_TRUE(chain) << chain.error().sentence();
  EXPECT_THAT(*chain, IsEmpty());
}

TEST_F(AChain, IsNotBuiltWithoutAnAnchor) {
  pki.make_ca("stranger");
  const std::vector<Certificate> all = {ca("root"), ca("upper"), ca("lower")};
  expect_untrusted(build_chain(leaf(), all, {ca("stranger")}, now), "no issuer is known for CN=gateway");
  expect_untrusted(build_chain(leaf(), all, {}, now), "no issuer is known");
  expect_untrusted(build_chain(ca("root"), all, {}, now), "no issuer is known");
}

TEST_F(AChain, IsNotBuiltWithoutAnIntermediate) {
  expect_untrusted(build_chain(leaf(), {ca("lower")}, {ca("root")}, now), "no issuer is known");
}

TEST_F(AChain, IsNotLedAstrayByAForgeryWithTheNameOfTheCa) {
  test::TestPki forger;
  forger.make_ca("root");
  forger.make_ca("upper", "root");
  forger.make_ca("lower", "upper");
  std::vector<Certificate> pool;
  for (const char* name : {"lower", "upper", "root"}) {
    pool.push_back(certificate_of(forger.ca(name).certificate_pem));
    pool.push_back(ca(name));
  }
  const auto chain = build_chain(leaf(), pool, {certificate_of(forger.ca("root").certificate_pem), ca("root")}, now);
  ASSERT_TRUE(chain) << chain.error().sentence();
  EXPECT_THAT(*chain, ElementsAre(ca("lower"), ca("upper")));
  const auto forged = certificate_of(forger.issue({.issuer = "lower"}).certificate_pem);
  expect_untrusted(build_chain(forged, pool, {ca("root")}, now), "no issuer is known");
}

TEST_F(AChain, GoesAroundACrossCertificateThatLeadsNowhereOrIsExpired) {
  pki.make_ca("elsewhere");
  auto spec = test::TestPki::ca_spec("lower");
  const Certificate nowhere = certificate_of(cross_sign(pki, "lower", "elsewhere", spec));
  spec.not_before = now - 48h;
  spec.not_after = now - 24h;
  const Certificate expired = certificate_of(cross_sign(pki, "lower", "upper", spec));
  const auto chain = build_chain(leaf(), {nowhere, expired, ca("lower"), ca("upper")}, {ca("root")}, now);
  ASSERT_TRUE(chain) << chain.error().sentence();
  EXPECT_THAT(*chain, ElementsAre(ca("lower"), ca("upper")));
}

TEST_F(AChain, HoldsOnlyWhileEveryCertificateInItIsValid) {
  auto spec = test::TestPki::ca_spec("brief", "upper");
  spec.not_before = now - 2h;
  spec.not_after = now + 2h;
  pki.make_ca("brief", spec);
  const Certificate end = leaf({.issuer = "brief", .not_before = now - 4h, .not_after = now + 8h});
  const std::vector<Certificate> pool = {ca("brief"), ca("upper")};
  EXPECT_TRUE(build_chain(end, pool, {ca("root")}, now));
  for (const Time then : {now - 3h, now + 3h, now + 9h, Time(0s), Time(253402300799s)}) {
    const auto chain = build_chain(end, pool, {ca("root")}, then);
    ASSERT_FALSE(chain) << utc_text(then);
    EXPECT_EQ(chain.error().code, Errc::certificate_not_valid_now);
    EXPECT_THAT(chain.error().reason, HasSubstr(": CN="));
    EXPECT_THAT(chain.error().hint, HasSubstr("clock"));
  }
}

TEST_F(AChain, GoesOnlyOverCertificatesThatSayThatTheyAreCas) {
  const std::vector<std::pair<std::string, std::string>> kinds = {
      {"critical,CA:FALSE", "digitalSignature"},
      {"critical,CA:FALSE", "keyCertSign"},
      {"", "keyCertSign"},
      {"critical,CA:TRUE", "digitalSignature"},
      {"", ""},
  };
  for (const auto& [constraints, usage] : kinds) {
    const std::string name = "no-ca-" + std::to_string(&constraints - &kinds.front().first);
    auto spec = test::TestPki::ca_spec(name, "root");
    spec.basic_constraints = constraints;
    spec.key_usage = usage;
    pki.make_ca(name, spec);
    const Certificate end = leaf({.issuer = name});
    expect_untrusted(build_chain(end, {ca(name)}, {ca("root")}, now), "no issuer is known");
  }
}

TEST_F(AChain, KeepsToThePathLengthOfItsCas) {
  auto spec = test::TestPki::ca_spec("last", "root");
  spec.basic_constraints = "critical,CA:TRUE,pathlen:0";
  pki.make_ca("last", spec);
  pki.make_ca("beyond", "last");
  EXPECT_TRUE(build_chain(leaf({.issuer = "last"}), {ca("last")}, {ca("root")}, now));
  expect_untrusted(build_chain(leaf({.issuer = "beyond"}), {ca("beyond"), ca("last")}, {ca("root")}, now),
                   "path length constraint");
}

TEST_F(AChain, KeepsToTheNameConstraintsOfItsCas) {
  auto spec = test::TestPki::ca_spec("bounded", "root");
  spec.more_extensions = {"nameConstraints=critical,permitted;DNS:inside.example"};
  pki.make_ca("bounded", spec);
  EXPECT_TRUE(build_chain(leaf({.issuer = "bounded", .alternative_names = {"DNS:a.inside.example"}}), {ca("bounded")},
                          {ca("root")}, now));
  expect_untrusted(build_chain(leaf({.issuer = "bounded", .alternative_names = {"DNS:a.outside.example"}}),
                               {ca("bounded")}, {ca("root")}, now),
                   "permitted subtree violation");
}

TEST_F(AChain, IsRefusedWithACriticalExtensionThatNobodyUnderstands) {
  expect_untrusted(build_chain(leaf({.more_extensions = {"1.2.3.9=critical,DER:0500"}}), {ca("lower"), ca("upper")},
                               {ca("root")}, now),
                   "unhandled critical extension");
  EXPECT_TRUE(
      build_chain(leaf({.more_extensions = {"1.2.3.9=DER:0500"}}), {ca("lower"), ca("upper")}, {ca("root")}, now));
}

TEST_F(AChain, IsRefusedBelowTheSecurityLevel) {
  expect_untrusted(build_chain(leaf({.digest = "sha1"}), {ca("lower"), ca("upper")}, {ca("root")}, now),
                   "CA signature digest algorithm too weak");
  expect_untrusted(build_chain(leaf({.key = test::TestKey::rsa_1024}), {ca("lower"), ca("upper")}, {ca("root")}, now),
                   "EE certificate key too weak");
  auto spec = test::TestPki::ca_spec("weak", "root");
  spec.key = test::TestKey::rsa_1024;
  pki.make_ca("weak", spec);
  expect_untrusted(build_chain(leaf({.issuer = "weak"}), {ca("weak")}, {ca("root")}, now),
                   "CA certificate key too weak");
}

TEST_F(AChain, HasAtMostSevenIntermediates) {
  std::vector<Certificate> pool;
  for (int i = 1; i <= 8; ++i) {
    pki.make_ca("ca" + std::to_string(i), i == 1 ? "root" : "ca" + std::to_string(i - 1));
    pool.push_back(ca("ca" + std::to_string(i)));
  }
  const auto chain = build_chain(leaf({.issuer = "ca7"}), pool, {ca("root")}, now);
  ASSERT_TRUE(chain) << chain.error().sentence();
  EXPECT_EQ(chain->size(), 7U);
  expect_untrusted(build_chain(leaf({.issuer = "ca8"}), pool, {ca("root")}, now), "no issuer is known");
}

TEST_F(AChain, CostsLittleEvenInAHostilePool) {
  // Every certificate may have issued every other one: the same name and key, each with another serial number. The
  // number of ways grows beyond all bounds with their length.
  auto spec = test::TestPki::ca_spec("upper");
  std::vector<Certificate> pool;
  const std::string request =
      test::output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca("upper").key, "-subj", "/CN=upper"}});
  spec.issuer = "upper";
  for (int i = 0; i < 64; ++i) pool.push_back(certificate_of(pki.sign_request(request, spec).certificate_pem));
  const auto begin = std::chrono::steady_clock::now();
  expect_untrusted(build_chain(leaf({.issuer = "upper"}), pool, {ca("lower")}, now), "no issuer is known");
  EXPECT_LT(std::chrono::steady_clock::now() - begin, 2s);
}

}  // namespace
}  // namespace devid::pki
