#include "agent/pki/rollover.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <fstream>
#include <functional>

#include "tests/support/certificate_of.h"
#include "tests/support/changing_ca.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

using namespace std::chrono_literals;
using test::certificate_of;
using test::TestPki;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

class ARollover : public testing::Test, protected test::ChangingCa {
 protected:
  Rollover follow(const std::vector<Certificate>& offered) { return follow_rollover({ca("old")}, offered, now); }
  /// Nothing of it is taken in, and the only remark says why.
  void expect_refused(const std::vector<Certificate>& offered, const std::string& reason) {
    const Rollover rollover = follow(offered);
    EXPECT_FALSE(rollover.changed()) << reason;
    EXPECT_THAT(rollover.anchors, ElementsAre(ca("old"))) << reason;
    EXPECT_THAT(rollover.remarks, testing::Contains(HasSubstr(reason)));
  }

  Time now = SystemClock().now();
};

TEST_F(ARollover, IsNoneWhereTheServerOffersWhatIsTrusted) {
  for (const auto& offered : {std::vector<Certificate>{}, {ca("old")}, {ca("old"), ca("old")}}) {
    const Rollover rollover = follow(offered);
    EXPECT_FALSE(rollover.changed());
    EXPECT_THAT(rollover.anchors, ElementsAre(ca("old")));
    EXPECT_THAT(rollover.remarks, IsEmpty());
    EXPECT_THAT(rollover.intermediates, IsEmpty());
  }
}

TEST_F(ARollover, TakesInTheNewRootThatTheOldOneHasSigned) {
  const Certificate new_with_old = link("new", "old");
  const Certificate old_with_new = link("old", "new");
  const Rollover rollover = follow({ca("old"), old_with_new, new_with_old, ca("new")});
  EXPECT_TRUE(rollover.changed());
  EXPECT_THAT(rollover.anchors, ElementsAre(ca("old"), ca("new")));
  EXPECT_THAT(rollover.added, ElementsAre(ca("new")));
  EXPECT_THAT(rollover.links, ElementsAre(new_with_old));
  EXPECT_THAT(rollover.removed, IsEmpty());
  EXPECT_THAT(rollover.intermediates, testing::UnorderedElementsAre(new_with_old, old_with_new));
  EXPECT_THAT(rollover.remarks, IsEmpty());
}

TEST_F(ARollover, OfOneThatIsTrustedAlreadyChangesNothing) {
  const Rollover rollover =
      follow_rollover({ca("old"), ca("new"), ca("old")}, {ca("new"), link("new", "old"), link("old", "new")}, now);
  EXPECT_FALSE(rollover.changed());
  EXPECT_THAT(rollover.anchors, ElementsAre(ca("old"), ca("new")));
  EXPECT_EQ(rollover.intermediates.size(), 2U);
}

TEST_F(ARollover, GoesOnFromANewRootToTheNextInWhateverOrderTheyCome) {
  const Certificate first = link("new", "old");
  const Certificate second = link("newest", "new");
  std::vector<Certificate> offered = {ca("old"), ca("new"), ca("newest"), first, second};
  for (int i = 0; i < 5; ++i) {
    std::ranges::rotate(offered, offered.begin() + 1);
    const Rollover rollover = follow(offered);
    EXPECT_THAT(rollover.anchors, ElementsAre(ca("old"), ca("new"), ca("newest")));
    EXPECT_THAT(rollover.links, ElementsAre(first, second));
  }
  EXPECT_THAT(follow({ca("newest"), ca("new"), second}).added, IsEmpty()) << "the chain has a gap";
}

TEST_F(ARollover, HasTheSameResultInWhateverOrderItIsOffered) {
  pki.make_ca("issuing", "old");
  std::vector<Certificate> offered = {ca("new"),          link("new", "old"),    ca("newest"), link("newest", "old"),
                                      link("new", "old"), link("old", "newest"), ca("issuing")};
  const Rollover expected = follow(offered);
  EXPECT_EQ(expected.added.size(), 2U);
  std::ranges::reverse(offered);
  const Rollover reversed = follow(offered);
  EXPECT_EQ(reversed.anchors, expected.anchors);
  EXPECT_EQ(reversed.links, expected.links);
  EXPECT_EQ(reversed.intermediates, expected.intermediates);
}

TEST_F(ARollover, TakesInARootThatWasRenewedWithItsKey) {
  const std::string key = pki.ca("old").key;
  const auto renew = [&](const char* digest) {
    return certificate_of(test::output_of(
        {.argv = {"openssl", "req", "-x509", "-new", "-key", key, "-subj", "/CN=Root", "-days", "9000", digest}}));
  };
  const Certificate renewed = renew("-sha256");
  const Rollover rollover = follow({renewed});
  EXPECT_THAT(rollover.added, ElementsAre(renewed));
  EXPECT_THAT(rollover.links, ElementsAre(renewed));
  EXPECT_TRUE(verify_link(renewed, renewed, {ca("old")}, now));
  EXPECT_FALSE(verify_link(ca("new"), ca("new"), {ca("old")}, now));
  expect_refused({renew("-sha1")}, "weak digest");
}

TEST_F(ARollover, KeepsOldRootsUntilTheyExpire) {
  auto spec = root_spec();
  spec.not_before = now - 48h;
  spec.not_after = now - 1h;
  pki.make_ca("expired", spec);
  const std::vector<Certificate> offered = {ca("new"), link("new", "old"), ca("expired")};
  const Rollover rollover = follow_rollover({ca("expired"), ca("old")}, offered, now);
  EXPECT_THAT(rollover.anchors, ElementsAre(ca("old"), ca("new")));
  EXPECT_THAT(rollover.removed, ElementsAre(ca("expired")));
  EXPECT_THAT(rollover.remarks, IsEmpty());
}

TEST_F(ARollover, NeverRemovesTheLastRoot) {
  auto spec = root_spec();
  spec.not_before = now - 48h;
  spec.not_after = now - 2h;
  pki.make_ca("earlier", spec);
  spec.not_after = now - 1h;
  pki.make_ca("later", spec);
  const Rollover rollover = follow_rollover({ca("earlier"), ca("later")}, {}, now);
  EXPECT_THAT(rollover.anchors, ElementsAre(ca("later")));
  EXPECT_THAT(rollover.removed, ElementsAre(ca("earlier")));
  EXPECT_FALSE(follow_rollover({ca("later")}, {ca("new")}, now).changed());
  EXPECT_THAT(unexpired({ca("later"), ca("old"), ca("old")}, now), ElementsAre(ca("old")));
  EXPECT_THAT(unexpired({}, now), IsEmpty());
}

TEST_F(ARollover, DoesNotStartFromARootThatHasExpired) {
  auto spec = root_spec();
  spec.not_after = now + 1h;
  pki.make_ca("brief", spec);
  const std::vector<Certificate> offered = {ca("new"), link("new", "brief")};
  EXPECT_TRUE(follow_rollover({ca("brief"), ca("old")}, offered, now).changed());
  for (const auto& trusted : {std::vector<Certificate>{ca("brief")}, {ca("brief"), ca("old")}})
    EXPECT_THAT(follow_rollover(trusted, offered, now + 2h).added, IsEmpty());
}

TEST_F(ARollover, RefusesANewRootWithoutALink) {
  expect_refused({ca("new")}, "CN=Root (SHA-256 " + ca("new").fingerprint() + "): nothing links this root");
  expect_refused({ca("new"), link("newest", "old")}, "nothing links this root");
  expect_refused({ca("new"), link("old", "new")}, "nothing links this root");
}

TEST_F(ARollover, IsNotFooledByAForgeryOfTheOldRoot) {
  // The same name throughout, but another key.
  TestPki forger;
  forger.make_ca("old", root_spec());
  const Certificate forged = certificate_of(forger.ca("old").certificate_pem);
  expect_refused({forged}, "nothing links this root");
  auto spec = root_spec();
  spec.issuer = "old";
  const std::string request =
      test::output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca("new").key, "-subj", "/CN=Root"}});
  const Certificate forged_link = certificate_of(forger.sign_request(request, spec).certificate_pem);
  expect_refused({ca("new"), forged_link, forged}, "its link is not signed by a root that is trusted");
}

TEST_F(ARollover, RefusesARootThatOnlyLooksSelfSigned) {
  // NewWithOld is not NewWithNew, although both name the root as subject and issuer.
  const Rollover rollover = follow({link("new", "old")});
  EXPECT_FALSE(rollover.changed());
  EXPECT_EQ(rollover.intermediates.size(), 1U);
  EXPECT_FALSE(verify_link(link("new", "old"), link("new", "old"), {ca("old")}, now));
}

TEST_F(ARollover, DoesNotLetACaBelowTheRootMakeItselfARoot) {
  // Its own certificate would be the link: the root has signed its key and name.
  pki.make_ca("issuing", "old");
  const Certificate below = ca("issuing");
  const Certificate promoted = certificate_of(test::output_of(
      {.argv = {"openssl", "req", "-x509", "-new", "-key", pki.ca("issuing").key, "-subj", "/CN=issuing"}}));
  now += 1min;  // it begins when it was made
  expect_refused({below, promoted}, "its link was issued by CN=Root: a CA below it");
  pki.make_ca("other", root_spec("/CN=Other"));
  expect_refused({ca("other"), link("other", "old", root_spec("/CN=Other"))}, "a CA below it");
}

TEST_F(ARollover, DoesNotGoOverACaBelowTheRoot) {
  // A CA that has the root's name, but not its key, signs the link; or one that is no CA does.
  for (const char* constraints : {"critical,CA:TRUE", "critical,CA:FALSE"}) {
    auto spec = root_spec();
    spec.basic_constraints = constraints;
    spec.issuer = "old";
    const std::string name = std::string("below ") + constraints;
    pki.make_ca(name, spec);
    expect_refused({ca("new"), ca(name), link("new", name)}, "its link is not signed by a root that is trusted");
  }
}

TEST_F(ARollover, RefusesALinkThatIsNotGood) {
  struct Case {
    const char* reason;
    std::function<void(test::CertificateSpec&)> spoil;
  };
  const std::vector<Case> cases = {
      {"certificate has expired", [&](auto& spec) { spec.not_before = now - 9h, spec.not_after = now - 1h; }},
      {"not yet valid", [&](auto& spec) { spec.not_before = now + 1h; }},
      {"no CA", [](auto& spec) { spec.basic_constraints = "critical,CA:FALSE"; }},
      {"no CA", [](auto& spec) { spec.basic_constraints = ""; }},
      {"no CA", [](auto& spec) { spec.key_usage = "critical,digitalSignature"; }},
      {"shorter paths", [](auto& spec) { spec.basic_constraints = "critical,CA:TRUE,pathlen:1"; }},
      {"digest algorithm too weak", [](auto& spec) { spec.digest = "sha1"; }},
      {"limits the uses", [](auto& spec) { spec.extended_key_usage = "serverAuth"; }},
      {"limits the names",
       [](auto& spec) { spec.more_extensions = {"nameConstraints=critical,permitted;DNS:inside.example"}; }},
      {"limits the policies", [](auto& spec) { spec.more_extensions = {"inhibitAnyPolicy=critical,0"}; }},
      {"unhandled critical extension", [](auto& spec) { spec.more_extensions = {"1.2.3.9=critical,DER:0500"}; }},
  };
  for (const auto& [reason, spoil] : cases) {
    auto spec = root_spec();
    spoil(spec);
    const Certificate bad = link("new", "old", spec);
    expect_refused({ca("new"), bad}, reason);
    EXPECT_FALSE(verify_link(ca("new"), bad, {ca("old")}, now)) << reason;
    // And it is not in the way of a good one.
    EXPECT_THAT(follow({bad, ca("new"), link("new", "old")}).added, ElementsAre(ca("new"))) << reason;
  }
}

TEST_F(ARollover, RefusesARootThatIsNotGood) {
  struct Case {
    const char* reason;
    std::function<void(test::CertificateSpec&)> spoil;
  };
  const std::vector<Case> cases = {
      {"certificate has expired", [&](auto& spec) { spec.not_before = now - 9h, spec.not_after = now - 1h; }},
      {"not yet valid", [&](auto& spec) { spec.not_before = now + 1h; }},
      {"no CA", [](auto& spec) { spec.basic_constraints = "critical,CA:FALSE"; }},
      {"no CA", [](auto& spec) { spec.key_usage = "critical,digitalSignature"; }},
      {"key too weak", [](auto& spec) { spec.key = test::TestKey::rsa_1024; }},
  };
  for (const auto& [reason, spoil] : cases) {
    auto spec = root_spec();
    spoil(spec);
    const std::string name = "bad " + std::to_string(&spoil - &cases.front().spoil);
    pki.make_ca(name, spec);
    expect_refused({ca(name), link(name, "old")}, reason);
    EXPECT_FALSE(verify_link(ca(name), link(name, "old"), {ca("old")}, now)) << reason;
  }
}

TEST_F(ARollover, KeepsToThePathLengthThatTheLinkAllows) {
  auto spec = root_spec();
  spec.basic_constraints = "critical,CA:TRUE,pathlen:1";
  pki.make_ca("short", spec);
  EXPECT_TRUE(verify_link(ca("short"), link("short", "old"), {ca("old")}, now));
  EXPECT_TRUE(verify_link(ca("short"), link("short", "old", spec), {ca("old")}, now));
  spec.basic_constraints = "critical,CA:TRUE,pathlen:0";
  EXPECT_FALSE(verify_link(ca("short"), link("short", "old", spec), {ca("old")}, now));
}

TEST_F(ARollover, KeepsToThePathLengthOfTheRootBefore) {
  auto spec = root_spec();
  spec.basic_constraints = "critical,CA:TRUE,pathlen:0";
  pki.make_ca("shallow", spec);
  pki.make_ca("shallow too", spec);
  const Certificate further = link("shallow", "shallow");
  for (const auto& [root, with] : {std::pair(ca("new"), link("new", "shallow")), std::pair(further, further)}) {
    const auto linked = verify_link(root, with, {ca("shallow")}, now);
    ASSERT_FALSE(linked);
    EXPECT_THAT(linked.error().reason, HasSubstr("the root before it allows shorter paths only"));
    EXPECT_THAT(follow_rollover({ca("shallow")}, {root, with}, now).added, IsEmpty());
  }
  const Certificate renewed = link("shallow", "shallow", spec);
  EXPECT_TRUE(verify_link(renewed, renewed, {ca("shallow")}, now));
  EXPECT_TRUE(verify_link(ca("shallow too"), link("shallow too", "shallow", spec), {ca("shallow")}, now));
}

TEST_F(ARollover, SaysWhichExtensionItsLinkLacks) {
  const std::string request =
      test::output_of({.argv = {"openssl", "req", "-new", "-key", pki.ca("new").key, "-subj", "/CN=Root"}});
  const auto extensions = pki.directory() / "extensions";
  std::ofstream(extensions) << "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign\n"
                               "authorityKeyIdentifier=none\n";
  const Certificate bare = certificate_of(
      test::output_of({.argv = {"openssl", "x509", "-req", "-CA", pki.ca("old").certificate, "-CAkey",
                                pki.ca("old").key, "-CAcreateserial", "-extfile", extensions, "-days", "90"},
                       .input = request}));
  expect_refused({ca("new"), bare}, "its link lacks an authorityKeyIdentifier (RFC 5280 4.2.1.1)");
}

TEST_F(ARollover, DoesNotRenewARootThatIsNotValidNow) {
  const std::vector<std::tuple<const char*, Time, Time>> table = {
      {"certificate has expired", now - 48h, now - 1h},
      {"not yet valid", now + 1h, now + 48h},
  };
  for (const auto& [reason, begin, end] : table) {
    auto spec = root_spec();
    spec.not_before = begin;
    spec.not_after = end;
    pki.make_ca(reason, spec);
    const Certificate renewed = link(reason, reason);
    const auto linked = verify_link(renewed, renewed, {ca(reason)}, now);
    ASSERT_FALSE(linked) << reason;
    EXPECT_THAT(linked.error().reason, HasSubstr(reason));
    EXPECT_THAT(follow_rollover({ca(reason)}, {renewed}, now).added, IsEmpty()) << reason;
  }
}

TEST_F(ARollover, DoesNotStartFromARootThatIsLimited) {
  auto spec = root_spec();
  spec.more_extensions = {"nameConstraints=critical,permitted;DNS:inside.example"};
  pki.make_ca("bounded", spec);
  const auto linked = verify_link(ca("new"), link("new", "bounded"), {ca("bounded")}, now);
  ASSERT_FALSE(linked);
  EXPECT_THAT(linked.error().reason, HasSubstr("limited itself"));
}

TEST_F(ARollover, SortsOutWhatElseIsOffered) {
  pki.make_ca("upper", "old");
  pki.make_ca("lower", "upper");
  pki.make_ca("stranger");
  pki.make_ca("strange issuer", "stranger");
  auto spec = TestPki::ca_spec("late", "upper");
  spec.not_before = now - 9h;
  spec.not_after = now - 1h;
  pki.make_ca("late", spec);
  const Certificate leaf = certificate_of(pki.issue({.issuer = "lower"}).certificate_pem);
  const Rollover rollover =
      follow({leaf, ca("lower"), ca("stranger"), ca("strange issuer"), ca("late"), ca("old"), ca("upper")});
  EXPECT_THAT(rollover.intermediates, ElementsAre(ca("upper"), ca("lower")));
  EXPECT_THAT(rollover.remarks, testing::UnorderedElementsAre(HasSubstr("): it is no CA"),
                                                              HasSubstr("): certificate has expired: CN=late"),
                                                              HasSubstr("): no issuer is known: CN=stranger"),
                                                              HasSubstr("): nothing links this root")));
  EXPECT_THAT(rollover.remarks, testing::Each(StartsWith("CN=")));
}

TEST_F(ARollover, LooksAtNoMoreThan64OfWhatIsOffered) {
  std::vector<Certificate> offered(10'000, ca("newest"));
  offered.insert(offered.begin() + 62, {ca("new"), link("new", "old")});
  const std::clock_t begin = std::clock();  // of this process: others may be busy
  const Rollover rollover = follow(offered);
  EXPECT_LT(std::clock() - begin, CLOCKS_PER_SEC);
  EXPECT_THAT(rollover.added, ElementsAre(ca("new")));
  EXPECT_THAT(rollover.remarks,
              ElementsAre("9938 more certificates were not looked at", HasSubstr("nothing links this root")));
  std::ranges::rotate(offered, offered.begin() + 1'000);
  EXPECT_FALSE(follow(offered).changed());
}

TEST_F(ARollover, CostsLittleWhateverIsOffered) {
  // Each could have issued every other one, and each could be the link of every root.
  std::vector<Certificate> offered;
  for (int i = 0; i < 32; ++i) offered.push_back(link("new", "newest"));
  for (int i = 0; i < 32; ++i) offered.push_back(link("newest", "new"));
  const std::clock_t begin = std::clock();  // of this process: others may be busy
  const Rollover rollover = follow_rollover({ca("old"), ca("new")}, offered, now);
  EXPECT_LT(std::clock() - begin, 2 * CLOCKS_PER_SEC);
  EXPECT_FALSE(rollover.changed());
  EXPECT_EQ(rollover.intermediates.size() + rollover.remarks.size(), 64U);
}

}  // namespace
}  // namespace devid::pki
