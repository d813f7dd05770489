#include <gmock/gmock.h>

#include "agent/identity/abandoned_keys.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using testing::Contains;
using testing::HasSubstr;
using testing::Not;

/// A device whose profile keeps the key of its first enrollment.
class ADeviceThatKeepsItsKey : public Site {
 protected:
  ADeviceThatKeepsItsKey() { start_with("never"); }

  void start_with(const std::string& rekey, const std::string& more = {}) {
    write_profile("[renewal]\nrekey = \"" + rekey + "\"\n" + more);
    load();
  }
  [[nodiscard]] std::string key() const { return current_files().at("token-key.pem"); }
  /// A renewal, and whether it made a new key.
  bool makes_new_key(JobOptions options = {}) {
    const std::string before = key();
    const auto result = run(JobKind::renew, options);
    EXPECT_TRUE(result) << result.error().sentence();
    expect_usable_current();
    EXPECT_EQ(has_request(), false);
    return key() != before;
  }
  void expect_key_in_token() { EXPECT_TRUE(FakeToken(hardware_, "tpm").open_key(key())); }
  /// Every key that is written down.
  [[nodiscard]] std::set<std::string> keys_on_disk() const {
    std::set<std::string> keys;
    for (const auto& entry : fs::recursive_directory_iterator(directory()))
      if (entry.path().filename() == "token-key.pem") keys.insert(read_file(entry.path(), 10000).value_or(""));
    return keys;
  }
  /// A renewal that waits at the CA with the current key.
  void leave_renewal_pending() {
    server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-202"), 1);
    const auto result = run(JobKind::renew);
    ASSERT_TRUE(result && *result == JobResult::pending);
    ASSERT_EQ(read_file(directory() / "request/token-key.pem", 10000).value_or(""), key());
  }
};

TEST_F(ADeviceThatKeepsItsKey, RenewsTheCertificateAlone) {
  enroll();
  const auto certificate = current_files().at("certificate.pem");
  EXPECT_FALSE(makes_new_key());
  EXPECT_FALSE(makes_new_key());
  EXPECT_NE(current_files().at("certificate.pem"), certificate);
  EXPECT_EQ(status().generation, 3U);
  EXPECT_EQ(hardware_.made_keys(), 1U);
  EXPECT_EQ(hardware_.count(Operation::create_key), 1U);
  EXPECT_THAT(current_files().at("meta.json"), HasSubstr("\"certificates\": 3"));
  EXPECT_THAT(observer_.phases, Not(Contains("creating-key")));
}

TEST_F(ADeviceThatKeepsItsKey, MakesANewOneWithEachEnrollment) {
  enroll();
  const auto first = key();
  ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
  EXPECT_NE(key(), first);
}

TEST_F(ADeviceThatKeepsItsKey, MakesANewOneWithEachSoManiethRenewal) {
  start_with("every 3");
  enroll();
  std::vector<bool> made;
  for (int i = 0; i < 7; ++i) made.push_back(makes_new_key());
  EXPECT_EQ(made, (std::vector{false, false, true, false, false, true, false}));
}

TEST_F(ADeviceThatKeepsItsKey, CountsItsCertificatesAcrossARestart) {
  start_with("every 2");
  enroll();
  EXPECT_FALSE(makes_new_key());
  load();
  EXPECT_TRUE(makes_new_key());
}

TEST_F(ADeviceThatKeepsItsKey, DoesAsTheOperatorSays) {
  enroll();
  EXPECT_TRUE(makes_new_key({.rekey = true}));
  start_with("always");
  EXPECT_FALSE(makes_new_key({.rekey = false}));
  EXPECT_TRUE(makes_new_key());
}

TEST_F(ADeviceThatKeepsItsKey, MakesANewOneWhereTheProfileWantsAnotherKind) {
  enroll();
  start_with("never", "[key]\nalgorithm = \"ec-p384\"\n");
  EXPECT_TRUE(makes_new_key());
  EXPECT_THAT(noticed(), Contains(HasSubstr("makes a new key, as the current one is not what profile and server ask")));
  EXPECT_FALSE(makes_new_key());
}

TEST_F(ADeviceThatKeepsItsKey, PresentsItsRequestAgain) {
  enroll();
  leave_renewal_pending();
  load();
  EXPECT_TRUE(has_request()) << "it is not taken for one that was granted";
  const auto asked = posted().back();
  EXPECT_FALSE(makes_new_key());
  EXPECT_EQ(posted().back(), asked);
  EXPECT_EQ(hardware_.made_keys(), 1U);
}

TEST_F(ADeviceThatKeepsItsKey, DropsARequestThatWasGranted) {
  enroll();
  observer_.at_phase = [&](Phase phase) {
    if (phase == Phase::verifying)
      fs::copy(directory() / "request", directory_.path() / "kept", fs::copy_options::recursive);
  };
  EXPECT_FALSE(makes_new_key());
  observer_.at_phase = nullptr;
  // The power failed before it was gone.
  fs::copy(directory_.path() / "kept", directory() / "request", fs::copy_options::recursive);
  load();
  EXPECT_FALSE(has_request());
  expect_key_in_token();
  renew();
  expect_key_in_token();
}

TEST_F(ADeviceThatKeepsItsKey, KeepsItWhereTheCaRefusesTheRequest) {
  enroll();
  server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-400"), 1);
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-400"), 1);
  EXPECT_FALSE(run(JobKind::renew));
  EXPECT_FALSE(has_request());
  expect_key_in_token();
  expect_usable_current();
}

TEST_F(ADeviceThatKeepsItsKey, KeepsItWhateverTheServerDoes) {
  enroll();
  for (const auto& [name, misbehaviour] : all_misbehaviours()) {
    if (name == "late" || name == "stalled") continue;  // each of them takes its time
    SCOPED_TRACE(name);
    server_->misbehave(EstOperation::simplereenroll, misbehaviour);
    static_cast<void>(run(JobKind::renew));
    server_->behave();
    load();
    expect_key_in_token();
    expect_usable_current();
    EXPECT_EQ(hardware_.made_keys(), keys_on_disk().size()) << "no other is left, nor missing";
  }
}

TEST_F(ADeviceThatKeepsItsKey, KeepsItWhereTheJobIsCancelled) {
  enroll();
  for (std::size_t phases = 0; phases < 4; ++phases) {
    observer_.cancel_after = phases;
    EXPECT_FALSE(run(JobKind::renew));
    expect_key_in_token();
  }
}

TEST_F(ADeviceThatKeepsItsKey, KeepsItWhereItsRequestIsDropped) {
  enroll();
  leave_renewal_pending();
  EXPECT_TRUE(makes_new_key({.rekey = true})) << "a request for the old key gives way";
  EXPECT_EQ(hardware_.made_keys(), 2U) << "the one before is still of the generation before";
  leave_renewal_pending();
  EXPECT_FALSE(makes_new_key({.force = true}));
  leave_renewal_pending();
  ASSERT_TRUE(run(JobKind::enroll, {.force = true})) << "an enrollment takes another key";
  EXPECT_EQ(hardware_.made_keys(), 3U);
}

TEST_F(ADeviceThatKeepsItsKey, KeepsItWhereTheDiskSaysThatItWasAbandoned) {
  enroll();
  agent_.reset();
  identity::AbandonedKeys(directory() / "abandoned-keys.json").add({.token = "tpm", .token_key_pem = key()});
  load();
  EXPECT_FALSE(makes_new_key());
  expect_key_in_token();
}

TEST_F(ADeviceThatKeepsItsKey, KeepsItWhereTheTokenFailsAtAnyOperation) {
  write_profile("[renewal]\nrekey = \"never\"\nprove = false\n");
  load();
  enroll();
  for (unsigned nth = 1; nth < 20; ++nth) {
    hardware_.fail_nth(nth, {.code = Errc::token_failed, .retry = Retry::later, .what = "the token is away"});
    const auto result = run(JobKind::renew);
    hardware_.recover();
    expect_key_in_token();
    expect_usable_current();
    if (result) return;
  }
  ADD_FAILURE() << "a job should need fewer operations of the token";
}

TEST_F(ADeviceThatKeepsItsKey, IsTiedToItsConnectionLikeAnyOther) {
  write_file(etc() / "identities.d/gateway.toml",
             "[server]\nurl = \"" + server_->url("localhost") + "\"\ntrust_anchors = \"" +
                 Authorities::get().operator_ca.certificate.string() + "\"\nchannel_binding = \"tls-unique\"\n" +
                 idevid_ + "[renewal]\nrekey = \"never\"\n");
  load();
  enroll();
  server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-500"), 1);
  EXPECT_FALSE(run(JobKind::renew));
  expect_key_in_token();
  server_->cut_handshakes(0);
  EXPECT_FALSE(run(JobKind::renew));
  server_->behave();
  expect_key_in_token();
  EXPECT_FALSE(makes_new_key());
}

}  // namespace
}  // namespace devid::test
