#include <gmock/gmock.h>

#include "agent/identity/trust_store.h"
#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using identity::TrustStore;
using testing::HasSubstr;
using testing::IsEmpty;

/// Its EST server has shown a CA once, before there was anything to verify it by.
class AnAgentThatWasShownACa : public Site {
 protected:
  AnAgentThatWasShownACa() {
    EXPECT_TRUE(store().saw(endpoint(), {shown_}, clock_.now()));
    load();
  }

  [[nodiscard]] TrustStore store() const { return TrustStore(identity::trust_file(directory())); }
  [[nodiscard]] std::string endpoint(const std::string& name = "gateway") const {
    return status(name).outlook->profile.server.endpoints.at(0).base;
  }
  void expect_refused(const std::string& name, const std::string& fingerprint, Errc code) {
    const auto refused = agent_->trust(name, fingerprint);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, code) << refused.error().sentence();
    EXPECT_FALSE(refused.error().hint.empty());
    EXPECT_THAT(store().record().accepted, IsEmpty());
  }

  pki::Certificate shown_ = certificate_of(Authorities::get().other_ca.certificate_pem);
};

TEST_F(AnAgentThatWasShownACa, OffersItAndTrustsItWhenItIsTold) {
  ASSERT_EQ(status().pending_trust.size(), 1U);
  EXPECT_EQ(status().pending_trust[0].certificate, shown_);
  clock_.advance(Seconds(60));
  const auto accepted = agent_->trust("gateway", shown_.fingerprint());
  ASSERT_TRUE(accepted) << accepted.error().sentence();
  EXPECT_EQ(accepted->certificate, shown_);
  EXPECT_EQ(accepted->server, endpoint());
  EXPECT_EQ(accepted->when, clock_.now());
  EXPECT_THAT(status().pending_trust, IsEmpty());
  const auto anchors = store().anchors({}, endpoint(), clock_.now());
  ASSERT_TRUE(anchors);
  EXPECT_THAT(*anchors, testing::ElementsAre(shown_));
  EXPECT_EQ(hardware_.operations(), 0U);
}

TEST_F(AnAgentThatWasShownACa, TrustsNothingElse) {
  expect_refused("nobody", shown_.fingerprint(), Errc::no_such_identity);
  expect_refused("gateway", shown_.fingerprint().substr(0, 62), Errc::usage);
  expect_refused("gateway", "", Errc::usage);
  expect_refused("gateway", std::string(64, 'a'), Errc::wrong_state);
  EXPECT_THAT(agent_->trust("gateway", std::string(64, 'a')).error().reason, HasSubstr(shown_.fingerprint()));
}

TEST_F(AnAgentThatWasShownACa, OffersItForThatServerAndIdentityOnly) {
  write_profile("", "second");
  load();
  EXPECT_THAT(status("second").pending_trust, IsEmpty());
  expect_refused("second", shown_.fingerprint(), Errc::wrong_state);
  EXPECT_TRUE(store().saw(endpoint(), {}, clock_.now()));
  EXPECT_TRUE(store().saw("https://elsewhere.example:443/.well-known/est", {shown_}, clock_.now()));
  load();
  EXPECT_THAT(status().pending_trust, IsEmpty());
  expect_refused("gateway", shown_.fingerprint(), Errc::wrong_state);
}

TEST_F(AnAgentThatWasShownACa, TrustsNothingWhileItsProfileIsWrong) {
  write_profile("[renewal]\nrenew_at = \"never\"\n");
  load();
  EXPECT_THAT(status().pending_trust, IsEmpty());
  expect_refused("gateway", shown_.fingerprint(), Errc::config_invalid);
}

TEST_F(AnAgentThatWasShownACa, StaysAsItIsWhereItsRecordIsDamaged) {
  write_file(identity::trust_file(directory()), "{\"version\": 1");
  load();
  EXPECT_THAT(status().pending_trust, IsEmpty());
  EXPECT_EQ(status().state, identity::State::unenrolled);
  expect_refused("gateway", shown_.fingerprint(), Errc::wrong_state);
}

}  // namespace
}  // namespace devid::test
