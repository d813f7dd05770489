#include <gmock/gmock.h>

#include <thread>

#include "agent/est/body.h"
#include "agent/pki/csr.h"
#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

/// What a profile says of the server beyond the least: identities.d/gateway.toml with other lines in [server].
class AProfileOfItsOwn : public Site {
 protected:
  void write(const std::string& server, const std::string& tables = {}) {
    write_file(etc() / "identities.d/gateway.toml",
               "[server]\nconnect_timeout = \"2s\"\ntimeout = \"5s\"\n" + server + "\n" + idevid_ + tables);
    load();
  }
  [[nodiscard]] std::string url() const { return "url = \"" + server_->url("localhost") + "\"\n"; }
  [[nodiscard]] static std::string anchors() {
    return "trust_anchors = \"" + Authorities::get().operator_ca.certificate.string() + "\"\n";
  }
  static Bytes request_in(const std::string& body) { return est::decode_body(body).value_or(Bytes()); }
  [[nodiscard]] std::vector<std::string> targets() const {
    std::vector<std::string> all;
    for (const auto& request : server_->requests()) all.push_back(request.target.substr(request.target.rfind('/') + 1));
    return all;
  }
};

TEST_F(AProfileOfItsOwn, GoesToTheNextServerWhereOneIsDead) {
  write("urls = [\"https://localhost:1\", \"" + server_->url("localhost") + "\"]\n" + anchors());
  enroll();
  expect_usable_current();
}

TEST_F(AProfileOfItsOwn, NamesEveryServerThatFailed) {
  write("urls = [\"https://localhost:1\", \"https://localhost:2\"]\n" + anchors());
  const auto result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::network_unreachable);
  EXPECT_THAT(result.error().sentence(), HasSubstr("localhost:1/"));
  EXPECT_THAT(result.error().reason, HasSubstr("localhost:2/"));
}

TEST_F(AProfileOfItsOwn, RenewsByAFullPkiRequest) {
  write(url() + anchors() + "renewal_operation = \"full-cmc\"\n");
  enroll();
  renew();
  expect_usable_current();
  EXPECT_THAT(targets(), Contains("fullcmc"));
}

TEST_F(AProfileOfItsOwn, TiesTheRequestToItsConnection) {
  write(url() + anchors() + "channel_binding = \"tls-unique\"\n");
  enroll();
  renew();
  expect_usable_current();
  for (const auto& request : server_->requests()) EXPECT_EQ(request.tls_version, "TLSv1.2");
}

TEST_F(AProfileOfItsOwn, TiesAKeptRequestToTheConnectionThatPresentsItAgain) {
  write(url() + anchors() + "channel_binding = \"tls-unique\"\n");
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202"), 1);
  ASSERT_TRUE(run(JobKind::enroll));
  const auto first = posted().back();
  write(url() + anchors());
  enroll();
  ASSERT_EQ(posted().size(), 2U) << "it does not wait for a refusal";
  EXPECT_NE(posted().back(), first);
  EXPECT_TRUE(pki::has_challenge_password(request_in(posted().back())));
  EXPECT_EQ(hardware_.made_keys(), 1U);
  expect_usable_current();
}

TEST_F(AProfileOfItsOwn, FreesAKeptRequestOfItsConnectionWhereThatIsTurnedOff) {
  write(url() + anchors() + "channel_binding = \"tls-unique\"\n");
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202"), 2);
  ASSERT_TRUE(run(JobKind::enroll));
  EXPECT_TRUE(pki::has_challenge_password(request_in(posted().back())));
  write(url() + anchors() + "channel_binding = \"off\"\n");
  ASSERT_TRUE(run(JobKind::enroll));
  const auto freed = posted().back();
  EXPECT_FALSE(pki::has_challenge_password(request_in(freed)));
  enroll();
  EXPECT_EQ(posted().back(), freed) << "once";
  EXPECT_EQ(hardware_.made_keys(), 1U);
  expect_usable_current();
}

TEST_F(AProfileOfItsOwn, ChargesTheNetworkWithNoTimeThatATokenTakesForAKey) {
  write(url() + anchors() + "deadline = \"5s\"\n");
  observer_.at_phase = [](Phase phase) {
    if (phase == Phase::creating_key) std::this_thread::sleep_for(std::chrono::milliseconds(5100));
  };
  enroll();
}

TEST_F(AProfileOfItsOwn, TrustsNobodyBeforeAnOperatorDoes) {
  write(url());
  const auto met = run(JobKind::enroll);
  ASSERT_FALSE(met);
  EXPECT_EQ(met.error().code, Errc::trust_missing);
  const std::string fingerprint = certificate_of(Authorities::get().operator_ca.certificate_pem).fingerprint();
  EXPECT_THAT(met.error().reason, HasSubstr(fingerprint));
  EXPECT_THAT(posted(), IsEmpty());
  for (const auto& request : server_->requests()) EXPECT_EQ(request.client, "") << "nothing of the device was shown";
  EXPECT_FALSE(run(JobKind::enroll)) << "it never accepts by itself";
  ASSERT_TRUE(agent_->trust("gateway", fingerprint));
  enroll();
  expect_usable_current();
}

TEST_F(AProfileOfItsOwn, AcceptsTheFingerprintThatItNames) {
  const std::string fingerprint = certificate_of(Authorities::get().operator_ca.certificate_pem).fingerprint();
  write(url() + "trust_fingerprint = \"" + fingerprint + "\"\n");
  enroll();
  expect_usable_current();
  write(url() + "trust_fingerprint = \"" + std::string(64, 'a') + "\"\n");
  const auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::trust_missing);
}

TEST_F(AProfileOfItsOwn, LooksAtTheCaBetweenRenewalsAndChangesNothingWhereNothingChanged) {
  write(url() + anchors());
  enroll();
  const auto before = current_files();
  const auto looked = run(JobKind::refresh);
  ASSERT_TRUE(looked) << looked.error().sentence();
  EXPECT_EQ(current_files(), before);
  EXPECT_EQ(status().state, identity::State::valid);
  EXPECT_EQ(targets().back(), "cacerts");
}

TEST_F(AProfileOfItsOwn, KeepsItsCredentialWhereALookFails) {
  write(url() + anchors());
  enroll();
  server_->misbehave(EstOperation::cacerts, misbehaviour("status-503"));
  const auto looked = run(JobKind::refresh);
  ASSERT_FALSE(looked);
  EXPECT_EQ(status().state, identity::State::valid);
  EXPECT_EQ(status().attempts, 0U);
  expect_usable_current();
}

TEST_F(AProfileOfItsOwn, LetsItsUnitsBeToldOfEachGenerationAndOfNewAnchorsToo) {
  using State = identity::Told::State;
  const auto& authorities = Authorities::get();
  write_file(etc() / "anchors.pem", authorities.operator_ca.certificate_pem);
  write_file(etc() / "identities.d/gateway.toml", "after_rotation = [\"reload nginx.service\"]\n[server]\n" + url() +
                                                      "trust_anchors = \"" + (etc() / "anchors.pem").string() + "\"\n" +
                                                      idevid_);
  load();
  EXPECT_THAT(status().consumers, IsEmpty()) << "there is nothing to tell of";
  enroll();
  ASSERT_EQ(status().consumers.size(), 1U);
  const identity::UnitAction action = status().consumers.front().action;
  EXPECT_EQ(status().consumers.front().state, State::pending);
  agent_->told("gateway", 7, action, {});
  EXPECT_EQ(status().consumers.front().state, State::pending) << "that was another generation";
  agent_->told("gateway", 1, action, fail({.code = Errc::internal, .what = "no", .hint = "look"}));
  EXPECT_EQ(status().consumers.front().state, State::failed);
  EXPECT_EQ(status().consumers.front().message, "no; look");
  EXPECT_GT(status().consumers.front().next_attempt, clock_.now());
  agent_->told("gateway", 1, action, {});
  load();
  EXPECT_EQ(status().consumers.front().state, State::done) << "it was written down";
  EXPECT_EQ(status().consumers.front().attempts, 2U);

  write_file(etc() / "anchors.pem", authorities.operator_ca.certificate_pem + authorities.other_ca.certificate_pem);
  ASSERT_TRUE(run(JobKind::refresh));
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(status().consumers.front().state, State::pending);
}

}  // namespace
}  // namespace devid::test
