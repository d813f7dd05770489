#include "agent/identity/trust_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "tests/support/changing_ca.h"

namespace devid::test {
namespace {

using namespace std::chrono_literals;
using identity::TrustRecord;
using pki::Certificate;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const std::string server = "https://est.example:443/.well-known/est";
const std::string other_server = "https://other.example:443/.well-known/est";

class ATrustRecord : public testing::Test, protected ChangingCa {
 protected:
  /// Looks at what is offered, trusting what is trusted so far, and learns.
  void look(const std::vector<Certificate>& profile, const std::vector<Certificate>& offered) {
    const auto learned = identity::learn(record, pki::follow_rollover(anchors(profile), offered, now), now);
    EXPECT_TRUE(learned) << learned.error().sentence();
  }
  [[nodiscard]] std::vector<Certificate> anchors(const std::vector<Certificate>& profile,
                                                 const std::string& of = server) const {
    auto result = identity::anchors_of(profile, record, of, now);
    return result ? *result : std::vector<Certificate>{};
  }
  /// A root that is valid, or was, for the hours around now.
  Certificate make_root(const std::string& name, Seconds begin, Seconds end) {
    auto spec = root_spec();
    spec.not_before = now + begin;
    spec.not_after = now + end;
    return certificate_of(pki.make_ca(name, spec).certificate_pem);
  }

  TrustRecord record;
  Time now = SystemClock().now();
};

TEST_F(ATrustRecord, OfNothingTrustsTheProfileAlone) {
  EXPECT_THAT(anchors({ca("old"), ca("old"), ca("new")}), ElementsAre(ca("old"), ca("new")));
}

TEST_F(ATrustRecord, SaysThatThereIsNothingToTrustAServerBy) {
  const auto missing = identity::anchors_of({}, record, server, now);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::trust_missing);
  EXPECT_THAT(missing.error().sentence(), HasSubstr(server));
}

TEST_F(ATrustRecord, TrustsTheRootsThatItHasLearned) {
  look({ca("old")}, {ca("new"), link("new", "old")});
  look({ca("old")}, {ca("newest"), link("newest", "new")});
  EXPECT_EQ(record.learned.size(), 2U);
  EXPECT_THAT(anchors({ca("old")}), ElementsAre(ca("old"), ca("new"), ca("newest")));
  EXPECT_THAT(anchors({ca("new")}), ElementsAre(ca("new"), ca("newest")));
  look({ca("old")}, {ca("new"), link("new", "old")});
  EXPECT_EQ(record.learned.size(), 2U) << "it has nothing new";
}

TEST_F(ATrustRecord, IsRidOfWhatItLearnedFromAnAnchorThatTheProfileHasNoMore) {
  look({ca("old")}, {ca("new"), link("new", "old")});
  look({ca("old")}, {ca("newest"), link("newest", "new")});
  pki.make_ca("another");
  EXPECT_THAT(anchors({ca("another")}), ElementsAre(ca("another")));
  EXPECT_THAT(anchors({}), IsEmpty());
  EXPECT_THAT(anchors({ca("newest")}), ElementsAre(ca("newest")));
  EXPECT_THAT(anchors({ca("old")}), ElementsAre(ca("old"), ca("new"), ca("newest"))) << "it is back";
}

TEST_F(ATrustRecord, TrustsNothingThatItsLinksDoNotProve) {
  const Certificate good = link("new", "old");
  auto weak = root_spec();
  weak.digest = "sha1";
  auto late = root_spec();
  late.not_before = now + 1h;
  pki.make_ca("forged old", root_spec());
  const std::pair<const char*, identity::LearnedRoot> cases[] = {
      {"no link", {.root = ca("new"), .link = ca("new"), .when = now}},
      {"the link of another root", {.root = ca("newest"), .link = good, .when = now}},
      {"a link of a forgery", {.root = ca("new"), .link = link("new", "forged old"), .when = now}},
      {"a weak link", {.root = ca("new"), .link = link("new", "old", weak), .when = now}},
      {"a link that was not valid then", {.root = ca("new"), .link = link("new", "old", late), .when = now}},
      {"a time before everything", {.root = ca("new"), .link = good, .when = Time(0s)}},
      {"a time after everything", {.root = ca("new"), .link = good, .when = now + 24h * 36500}},
      {"a link as the root", {.root = good, .link = good, .when = now}},
  };
  for (const auto& [what, learned] : cases) {
    record.learned = {learned};
    EXPECT_THAT(anchors({ca("old")}), ElementsAre(ca("old"))) << what;
  }
  record.learned = {{.root = ca("new"), .link = good, .when = now}};
  EXPECT_THAT(anchors({ca("old")}), ElementsAre(ca("old"), ca("new")));
}

TEST_F(ATrustRecord, KeepsALearnedRootWhenItsLinkAndTheOldRootHaveExpired) {
  const Certificate brief = make_root("brief", -1h, 2h);
  auto spec = root_spec();
  spec.not_after = now + 1h;
  look({brief}, {ca("new"), link("new", "brief", spec)});
  now += 3h;
  EXPECT_THAT(anchors({brief}), ElementsAre(ca("new")));
  now += 24h * 36500;
  EXPECT_THAT(anchors({brief}), ElementsAre(ca("new"))) << "the last one is never removed";
}

TEST_F(ATrustRecord, GoesOverALearnedRootThatHasExpired) {
  make_root("brief", -1h, 2h);
  look({ca("old")}, {ca("brief"), link("brief", "old"), ca("new"), link("new", "brief")});
  ASSERT_EQ(record.learned.size(), 2U);
  now += 3h;
  EXPECT_THAT(anchors({ca("old")}), ElementsAre(ca("old"), ca("new")));
  std::ranges::reverse(record.learned);
  EXPECT_THAT(anchors({ca("old")}), ElementsAre(ca("old"), ca("new"))) << "in whatever order they are";
}

TEST_F(ATrustRecord, ForgetsOnlyWhatHasExpiredAndProvesNothing) {
  const Certificate step = make_root("step", -2h, 1h);
  const Certificate dead = make_root("dead", -2h, 1h);
  look({ca("old")}, {step, link("step", "old"), dead, link("dead", "old"), ca("new"), link("new", "step")});
  ASSERT_EQ(record.learned.size(), 3U);
  for (int i = 0; i < 13; ++i) {
    const std::string name = "more " + std::to_string(i);
    pki.make_ca(name, root_spec());
    look({ca("old")}, {ca(name), link(name, "old")});
  }
  ASSERT_EQ(record.learned.size(), 16U);
  const TrustRecord full = record;
  const auto rollover = pki::follow_rollover({ca("old")}, {ca("newest"), link("newest", "old")}, now);
  const auto refused = identity::learn(record, rollover, now);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::storage_failed);
  EXPECT_EQ(record, full);
  now += 2h;
  EXPECT_TRUE(identity::learn(record, rollover, now));
  EXPECT_EQ(record.learned.size(), 16U);
  const auto has = [&](const Certificate& root) {
    return std::ranges::find(record.learned, root, &identity::LearnedRoot::root) != record.learned.end();
  };
  EXPECT_FALSE(has(dead));
  EXPECT_TRUE(has(step));
  EXPECT_TRUE(has(ca("new")));
  EXPECT_TRUE(has(ca("newest")));
}

TEST_F(ATrustRecord, DoesNotLearnACertificateOfAnySize) {
  auto spec = root_spec();
  spec.more_extensions = {"1.2.3.4=DER:04824000" + std::string(2UL * 0x4000, '0')};
  pki.make_ca("large", spec);
  const auto rollover = pki::follow_rollover({ca("old")}, {ca("large"), link("large", "old")}, now);
  EXPECT_FALSE(identity::learn(record, rollover, now));
  identity::see(record, server, {ca("large"), ca("old")}, now);
  EXPECT_EQ(identity::offered(record, server).size(), 1U);
}

TEST_F(ATrustRecord, OffersTheCasThatAServerShowed) {
  pki.make_ca("issuing", "old");
  const Certificate leaf = certificate_of(pki.issue({.issuer = "issuing"}).certificate_pem);
  identity::see(record, server, {leaf, ca("issuing"), ca("old"), ca("old")}, now);
  EXPECT_THAT(identity::offered(record, server),
              ElementsAre(identity::ServerAnchor{.certificate = ca("old"), .server = server, .when = now},
                          identity::ServerAnchor{.certificate = ca("issuing"), .server = server, .when = now}));
  EXPECT_THAT(identity::offered(record, other_server), IsEmpty());
  EXPECT_THAT(anchors({}), IsEmpty()) << "offered is not trusted";
  identity::see(record, other_server, {ca("new")}, now);
  EXPECT_EQ(identity::offered(record, server).size(), 2U) << "one server takes nothing from the other";
  identity::see(record, server, {}, now);
  EXPECT_THAT(identity::offered(record, server), IsEmpty());
  EXPECT_EQ(identity::offered(record, other_server).size(), 1U);
}

TEST_F(ATrustRecord, OffersNoMoreThan16) {
  std::vector<Certificate> shown;
  for (int i = 0; i < 20; ++i) shown.push_back(link("new", "old"));
  identity::see(record, server, shown, now);
  EXPECT_EQ(record.seen.size(), 16U);
  identity::see(record, other_server, {ca("new")}, now);
  EXPECT_EQ(record.seen.size(), 16U);
  EXPECT_EQ(identity::offered(record, other_server).size(), 1U) << "the others' are forgotten first";
  std::vector<Certificate> many(10'000, ca("old"));
  many.push_back(ca("new"));
  identity::see(record, server, many, now);
  EXPECT_EQ(identity::offered(record, server).size(), 1U);
}

TEST_F(ATrustRecord, TrustsWhatAnOperatorAcceptedForThatServerOnly) {
  identity::see(record, server, {ca("old"), ca("new")}, now);
  const auto accepted = identity::accept(record, ca("old").fingerprint(), server, now + 1h);
  ASSERT_TRUE(accepted) << accepted.error().sentence();
  EXPECT_EQ(accepted->certificate, ca("old"));
  EXPECT_EQ(accepted->when, now + 1h);
  EXPECT_THAT(anchors({}), ElementsAre(ca("old")));
  EXPECT_THAT(anchors({}, other_server), IsEmpty());
  EXPECT_THAT(anchors({ca("newest")}), ElementsAre(ca("newest"), ca("old")));
  EXPECT_EQ(identity::offered(record, server).size(), 1U);
  identity::see(record, server, {ca("old"), ca("new")}, now);
  EXPECT_EQ(identity::offered(record, server).size(), 1U) << "what is accepted is offered no more";
  look({}, {ca("newest"), link("newest", "old")});
  EXPECT_THAT(anchors({}), ElementsAre(ca("old"), ca("newest"))) << "a root may succeed an accepted one";
  EXPECT_THAT(anchors({}, other_server), IsEmpty());
}

TEST_F(ATrustRecord, AcceptsNothingThatWasNotOffered) {
  const std::string fingerprint = ca("old").fingerprint();
  const auto expect_refused = [&](const std::string& of, const std::string& reason) {
    const auto refused = identity::accept(record, fingerprint, of, now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::wrong_state);
    EXPECT_THAT(refused.error().reason, HasSubstr(reason));
    EXPECT_THAT(record.accepted, IsEmpty());
  };
  expect_refused(server, "nothing is offered by " + server);
  identity::see(record, other_server, {ca("old")}, now);
  expect_refused(server, "nothing is offered by " + server);
  identity::see(record, server, {ca("new")}, now);
  expect_refused(server, "offers " + ca("new").fingerprint() + " (CN=Root)");
  EXPECT_FALSE(identity::accept(record, "", server, now));
  EXPECT_FALSE(identity::accept(record, ca("new").fingerprint().substr(0, 63), server, now));
}

TEST_F(ATrustRecord, ForgetsTheOldestOfTooManyThatWereAccepted) {
  for (int i = 0; i < 17; ++i) {
    const std::string of = server + "/" + std::to_string(i);
    identity::see(record, of, {ca("old")}, now);
    EXPECT_TRUE(identity::accept(record, ca("old").fingerprint(), of, now));
  }
  EXPECT_EQ(record.accepted.size(), 16U);
  EXPECT_THAT(anchors({}, server + "/0"), IsEmpty());
  EXPECT_THAT(anchors({}, server + "/16"), ElementsAre(ca("old")));
}

TEST_F(ATrustRecord, KeepsWhatWasMetForAsLongAsItsFingerprintIsNamed) {
  identity::pin(record, ca("old"), server, now);
  EXPECT_EQ(identity::pinned(record, ca("old").fingerprint(), server), ca("old"));
  EXPECT_FALSE(identity::pinned(record, ca("old").fingerprint(), other_server));
  EXPECT_FALSE(identity::pinned(record, ca("new").fingerprint(), server));
  EXPECT_FALSE(identity::pinned(record, "", server));
  EXPECT_THAT(anchors({}), IsEmpty()) << "it is the profile that trusts it";
  identity::pin(record, ca("new"), server, now + 1h);
  EXPECT_THAT(record.pinned,
              ElementsAre(identity::ServerAnchor{.certificate = ca("new"), .server = server, .when = now + 1h}));
  for (int i = 0; i < 9; ++i) identity::pin(record, ca("old"), server + "/" + std::to_string(i), now);
  EXPECT_EQ(record.pinned.size(), 8U);
  EXPECT_FALSE(identity::pinned(record, ca("old").fingerprint(), server + "/0"));
  EXPECT_TRUE(identity::pinned(record, ca("old").fingerprint(), server + "/8"));
}

TEST_F(ATrustRecord, IsWrittenAndReadBack) {
  for (const bool full : {false, true}) {
    if (full) {
      look({ca("old")}, {ca("new"), link("new", "old")});
      identity::see(record, server, {ca("old"), ca("new")}, now);
      EXPECT_TRUE(identity::accept(record, ca("old").fingerprint(), server, now));
      identity::pin(record, ca("newest"), other_server, now);
      record.looked_at = now;
    }
    const std::string text = identity::to_json(record);
    const auto parsed = identity::parse_trust_record(text);
    ASSERT_TRUE(parsed) << parsed.error().sentence();
    EXPECT_EQ(*parsed, record);
    for (std::size_t size = 0; size + 2 < text.size(); size += 97)
      EXPECT_FALSE(identity::parse_trust_record(text.substr(0, size)));
  }
}

TEST_F(ATrustRecord, ThatIsNotAsItWasWrittenIsNone) {
  look({ca("old")}, {ca("new"), link("new", "old")});
  identity::see(record, server, {ca("old"), ca("new")}, now);
  EXPECT_TRUE(identity::accept(record, ca("old").fingerprint(), server, now));
  identity::pin(record, ca("old"), server, now);
  record.looked_at = now;
  using Json = nlohmann::json;
  const Json whole = Json::parse(identity::to_json(record));
  const std::pair<const char*, Json> changes[] = {
      {"/version", 2},
      {"/version", "1"},
      {"/learned", Json::object()},
      {"/learned/0", nullptr},
      {"/learned/0/when", -1},
      {"/learned/0/when", 253402300800},
      {"/learned/0/when", 1.5},
      {"/learned/0/root", 7},
      {"/learned/0/root", ""},
      {"/learned/0/root", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"},
      {"/learned/0/root", ca("old").pem() + ca("new").pem()},
      {"/learned/0/link", nullptr},
      {"/accepted", nullptr},
      {"/accepted/0/server", 1},
      {"/accepted/0/server", std::string(2049, 'a')},
      {"/accepted/0/when", "now"},
      {"/accepted/0/certificate", "root"},
      {"/pinned", nullptr},
      {"/pinned", Json(std::vector<Json>(9, whole["pinned"][0]))},
      {"/pinned/0/certificate", 1},
      {"/seen", 1},
      {"/seen", Json(std::vector<Json>(17, whole["seen"][0]))},
      {"/seen/0", "root"},
      {"/looked_at", true},
      {"/looked_at", nullptr},
  };
  for (const auto& [where, value] : changes) {
    Json changed = whole;
    changed[Json::json_pointer(where)] = value;
    const auto parsed = identity::parse_trust_record(changed.dump());
    ASSERT_FALSE(parsed) << where << value;
    EXPECT_EQ(parsed.error().code, Errc::state_corrupt);
    EXPECT_THAT(parsed.error().hint, HasSubstr("trust_anchors"));
  }
  for (const char* text : {"", "null", "[]", "{", "7", "\"version\""}) EXPECT_FALSE(identity::parse_trust_record(text));
  EXPECT_FALSE(identity::parse_trust_record(std::string(100'000, '[')));
  Json more = whole;
  more["unknown"] = 1;
  EXPECT_TRUE(identity::parse_trust_record(more.dump()));
}

}  // namespace
}  // namespace devid::test
