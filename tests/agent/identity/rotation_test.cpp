#include "agent/identity/rotation.h"

#include <gmock/gmock.h>

#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

using identity::State;
using std::chrono::hours;
using testing::ElementsAre;
using testing::HasSubstr;

/// What the server said, and up to an eighth more.
class WaitingSite : public Site {
 protected:
  void expect_wait_of(Seconds advice) {
    EXPECT_GE(status().next_attempt, clock_.now() + advice);
    EXPECT_LE(status().next_attempt, clock_.now() + advice * 9 / 8);
  }
};

class ADevice : public WaitingSite {};

TEST_F(ADevice, EnrollsWithItsIdevid) {
  EXPECT_EQ(status().state, State::unenrolled);
  enroll();
  EXPECT_THAT(observer_.phases, ElementsAre("connecting", "ca-certificates", "creating-key", "requesting", "verifying",
                                            "proving", "installing"));
  const auto shown = status();
  EXPECT_EQ(shown.state, State::valid);
  EXPECT_EQ(shown.generation, 1U);
  EXPECT_EQ(shown.subject, "serialNumber=SN-17");
  EXPECT_EQ(shown.issuer, "CN=operator");
  EXPECT_EQ(shown.key_algorithm, "ec-p256");
  EXPECT_EQ(shown.certificate_file, (directory() / "current/certificate.pem").string());
  EXPECT_EQ(shown.last_success, clock_.now());
  EXPECT_EQ(shown.attempts, 0U);
  EXPECT_FALSE(shown.last_error);
  // Two thirds of the way from a minute ago to a day from now are 16 hours; a first renewal comes after a tenth of that
  // at the earliest.
  EXPECT_GE(*shown.next_attempt, clock_.now() + std::chrono::minutes(95));
  EXPECT_LE(*shown.next_attempt, clock_.now() + std::chrono::hours(16));
  expect_usable_current();
  EXPECT_FALSE(has_request());
  EXPECT_EQ(hardware_.made_keys(), 1U);
}

TEST_F(ADevice, EnrollsAndRenewsOverOneConnectionEach) {
  prove_nothing();
  enroll();
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_EQ(server_->handshakes(), 1U);
  server_->forget();
  renew();
  EXPECT_EQ(server_->connections(), 1U);
  EXPECT_EQ(server_->handshakes(), 1U);
}

TEST_F(ADevice, ShowsItsIdevidToEnrollAndItsLdevidToRenew) {
  prove_nothing();
  enroll();
  const auto enrollment = server_->requests();
  ASSERT_EQ(enrollment.size(), 3U);
  EXPECT_THAT(enrollment.back().target, HasSubstr("/simpleenroll"));
  EXPECT_EQ(enrollment.back().client, "serialNumber=SN-17,O=Maker");
  server_->forget();
  renew();
  const auto renewal = server_->requests();
  ASSERT_EQ(renewal.size(), 3U);
  EXPECT_THAT(renewal.back().target, HasSubstr("/simplereenroll"));
  EXPECT_EQ(renewal.back().client, "serialNumber=SN-17");
}

TEST_F(ADevice, RenewsAtTwoThirdsOfTheLifetimeWithANewKey) {
  enroll();
  const auto first = current_files();
  EXPECT_GT(*status().next_attempt, clock_.now());
  clock_.advance(hours(16));
  EXPECT_LE(*status().next_attempt, clock_.now());
  EXPECT_EQ(kind_that_helps(), JobKind::renew);
  renew();
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(status().state, State::valid);
  EXPECT_NE(current_files().at("token-key.pem"), first.at("token-key.pem"));
  expect_usable_current();
  EXPECT_EQ(hardware_.made_keys(), 2U);
}

TEST_F(ADevice, AsksForTheNamesOfItsProfile) {
  write_profile(
      "[subject]\nO = \"Example\"\nCN = \"gateway-17\"\n[subject_alternative_names]\ndns = [\"gw.example\"]\n");
  load();
  enroll();
  EXPECT_EQ(status().subject, "CN=gateway-17,O=Example");
  renew();
  EXPECT_EQ(status().generation, 2U);
}

TEST_F(ADevice, AsksInARenewalForTheNamesThatTheCaHasChosen) {
  write_profile("[certificate]\nnames = \"ca-may-change\"\n[subject_alternative_names]\ndns = [\"gw.example\"]\n");
  load();
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("other-names"), 1);
  enroll();
  const auto subject = status().subject;
  EXPECT_EQ(subject.find("serialNumber"), std::string::npos) << subject;
  renew();
  EXPECT_EQ(status().subject, subject);
  renew();
  EXPECT_EQ(status().generation, 3U);
}

TEST_F(ADevice, MakesTheKindOfKeyThatItsProfileNames) {
  for (const std::string algorithm : {"ec-p384", "rsa-2048"}) {
    write_profile("[key]\nalgorithm = \"" + algorithm + "\"\n");
    ASSERT_TRUE(agent_->reload());
    ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
    EXPECT_EQ(status().key_algorithm, algorithm);
    expect_usable_current();
    renew();
  }
}

TEST_F(ADevice, EnrollsAgainWhereItsCredentialHasExpired) {
  start_server(hours(1));
  write_profile();
  load();
  enroll();
  start_server();
  write_profile();
  ASSERT_TRUE(agent_->reload());
  clock_.advance(hours(2));
  EXPECT_EQ(status().state, State::expired);
  EXPECT_LE(*status().next_attempt, clock_.now());
  EXPECT_EQ(kind_that_helps(), JobKind::enroll);
  const auto renewed = run(JobKind::renew);
  ASSERT_FALSE(renewed);
  EXPECT_EQ(renewed.error().code, Errc::wrong_state);
  EXPECT_EQ(renewed.error().hint, "devidctl enroll gateway");
  enroll();
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(status().generation, 2U);
}

TEST_F(ADevice, RefusesWhatDoesNotFitItsState) {
  auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::wrong_state);
  EXPECT_EQ(result.error().sentence(), "cannot renew identity 'gateway': it has no credential");
  enroll();
  result = run(JobKind::enroll);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::wrong_state);
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_EQ(status().state, State::valid);
  ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
  EXPECT_EQ(status().generation, 2U);
}

class APendingRequest : public WaitingSite {
 protected:
  APendingRequest() {
    server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202"), 1);
    const auto result = run(JobKind::enroll);
    EXPECT_TRUE(result && *result == JobResult::pending);
  }
};

TEST_F(APendingRequest, WaitsAsLongAsTheServerSaid) {
  EXPECT_EQ(observer_.phases.back(), "pending");
  EXPECT_EQ(status().state, State::pending);
  expect_wait_of(Seconds(120));
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_FALSE(status().last_error);
}

TEST_F(APendingRequest, IsPresentedAgainWithTheSameKeyAfterARestart) {
  load();
  EXPECT_EQ(status().state, State::pending);
  expect_wait_of(Seconds(120));
  clock_.advance(Seconds(120));
  EXPECT_EQ(kind_that_helps(), JobKind::enroll);
  enroll();
  const auto bodies = posted();
  ASSERT_EQ(bodies.size(), 2U);
  EXPECT_EQ(bodies[0], bodies[1]);
  EXPECT_EQ(hardware_.count(Operation::create_key), 1U);
  EXPECT_EQ(status().state, State::valid);
  EXPECT_FALSE(has_request());
  expect_usable_current();
}

TEST_F(APendingRequest, SurvivesAnOutageOfTheServer) {
  unsigned attempts = 0;
  for (const auto operation : {EstOperation::cacerts, EstOperation::simpleenroll}) {
    for (const auto* const how : {"status-500", "cut-at-once"}) {
      SCOPED_TRACE(operation_name(operation) + ", " + how);
      server_->misbehave(operation, misbehaviour(how));
      EXPECT_FALSE(run(JobKind::enroll));
      server_->behave();
      EXPECT_TRUE(has_request());
      EXPECT_EQ(status().state, State::pending);
      EXPECT_EQ(status().attempts, ++attempts);
    }
  }
  enroll();
  EXPECT_EQ(posted().front(), posted().back());
  EXPECT_EQ(hardware_.count(Operation::create_key), 1U);
}

TEST_F(APendingRequest, SurvivesAnOutageOfTheToken) {
  hardware_.fail_all({.code = Errc::token_unreachable, .retry = Retry::later, .what = "no token"});
  ASSERT_FALSE(run(JobKind::enroll));
  EXPECT_TRUE(has_request());
  hardware_.recover();
  enroll();
  EXPECT_EQ(hardware_.made_keys(), 1U);
}

TEST_F(APendingRequest, GoesWithItsKeyWhereTheCaRefusesItForGood) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-400"), 1);
  ASSERT_FALSE(run(JobKind::enroll));
  EXPECT_FALSE(has_request());
  EXPECT_EQ(hardware_.made_keys(), 0U);
  EXPECT_EQ(status().state, State::blocked);
  enroll();
  EXPECT_NE(posted()[0], posted().back());
}

TEST_F(APendingRequest, SurvivesAnswersThatAreOfNoUse) {
  for (const auto* const how : {"status-401", "status-403", "garbage", "oversized", "wrong-type"}) {
    SCOPED_TRACE(how);
    server_->misbehave(EstOperation::simpleenroll, misbehaviour(how), 1);
    EXPECT_FALSE(run(JobKind::enroll));
    EXPECT_TRUE(has_request());
  }
  enroll();
  EXPECT_EQ(posted().front(), posted().back());
  EXPECT_EQ(hardware_.count(Operation::create_key), 1U);
}

TEST_F(APendingRequest, IsDroppedAfterTenUselessAnswersInARow) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-401"), 9);
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(run(JobKind::enroll));
  // "Later" is an answer.
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202"), 1);
  EXPECT_TRUE(run(JobKind::enroll));
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-401"));
  for (int i = 0; i < 9; ++i) EXPECT_FALSE(run(JobKind::enroll));
  // What does not reach the CA does not count, nor does a restart.
  server_->misbehave(EstOperation::cacerts, misbehaviour("status-401"), 1);
  EXPECT_FALSE(run(JobKind::enroll));
  load();
  EXPECT_TRUE(has_request());
  EXPECT_FALSE(run(JobKind::enroll));
  EXPECT_FALSE(has_request());
  EXPECT_EQ(hardware_.made_keys(), 0U);
  server_->behave();
  enroll();
  EXPECT_NE(posted().front(), posted().back());
}

TEST_F(APendingRequest, IsDroppedByForce) {
  ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
  EXPECT_EQ(hardware_.made_keys(), 1U);
  EXPECT_EQ(hardware_.count(Operation::create_key), 2U);
  EXPECT_NE(posted()[0], posted()[1]);
}

TEST_F(APendingRequest, IsDroppedWhereTheProfileNamesAnotherServer) {
  start_server();
  write_profile();
  ASSERT_TRUE(agent_->reload());
  enroll();
  EXPECT_EQ(hardware_.count(Operation::create_key), 2U);
  EXPECT_EQ(hardware_.made_keys(), 1U);
}

TEST_F(APendingRequest, IsDroppedWhereTheProfileWantsOtherNamesOrAnotherKey) {
  for (const auto* const more : {"[key]\nalgorithm = \"ec-p384\"\n", "[subject]\nCN = \"other\"\n",
                                 "[subject_alternative_names]\ndns = [\"gw.example\"]\n"}) {
    SCOPED_TRACE(more);
    write_profile(more);
    ASSERT_TRUE(agent_->reload());
    const auto asked = posted().back();
    server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202"), 1);
    ASSERT_TRUE(run(JobKind::enroll));
    EXPECT_NE(posted().back(), asked);
    EXPECT_EQ(hardware_.made_keys(), 1U);
  }
  const auto asked = posted().back();
  enroll();
  EXPECT_EQ(posted().back(), asked);
}

TEST_F(APendingRequest, BacksOffWhereTheServerDoesNotSayHowLong) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-202-without-time"), 1);
  const auto result = run(JobKind::enroll);
  ASSERT_TRUE(result && *result == JobResult::pending);
  EXPECT_GE(*status().next_attempt, clock_.now() + Seconds(60));
  EXPECT_LE(*status().next_attempt, clock_.now() + Seconds(240));
}

TEST_F(ADevice, WhoseRenewalIsPendingGoesOnToBeValid) {
  enroll();
  const auto before = current_files();
  server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-503-with-time"), 1);
  const auto result = run(JobKind::renew);
  ASSERT_TRUE(result && *result == JobResult::pending);
  EXPECT_EQ(status().state, State::renewing);
  expect_wait_of(Seconds(90));
  EXPECT_EQ(current_files(), before);
  renew();
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(hardware_.made_keys(), 2U);
}

}  // namespace
}  // namespace devid::test
