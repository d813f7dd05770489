#include <gmock/gmock.h>

#include "agent/identity/proof.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"
#include "tests/support/certificate_of.h"

namespace devid::test {
namespace {

using identity::State;
using std::chrono::hours;
using std::chrono::minutes;
using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;

/// A renewal whose certificate is there, and has to be proved at the server.
class AProof : public Site {
 protected:
  AProof() {
    enroll();
    server_->forget();
  }

  /// /cacerts misbehaves from when the certificate is there, as often as that.
  void while_proving(const std::string& how, unsigned times = 1) {
    observer_.at_phase = [this, how, times](Phase phase) {
      if (phase == Phase::proving) server_->misbehave(EstOperation::cacerts, misbehaviour(how), times);
    };
  }
  /// A renewal that is not installed, as the server cannot be asked.
  Error leave_unproven() {
    while_proving("status-500");
    const auto result = run(JobKind::renew);
    observer_.at_phase = nullptr;
    EXPECT_FALSE(result);
    EXPECT_TRUE(has_candidate());
    EXPECT_EQ(status().generation, 1U);
    expect_usable_current();
    return result ? Error() : result.error();
  }
};

TEST_F(AProof, IsOneMoreConnectionWithTheNewCertificate) {
  renew();
  EXPECT_EQ(server_->handshakes(), 2U);
  const auto seen = server_->requests();
  EXPECT_THAT(seen.back().target, HasSubstr("/cacerts"));
  EXPECT_EQ(seen.back().client, "serialNumber=SN-17");
  EXPECT_NE(seen.back().connection, seen.front().connection);
  EXPECT_FALSE(has_candidate());
}

TEST_F(AProof, IsLeftOutWhereTheProfileSaysSo) {
  prove_nothing();
  renew();
  EXPECT_EQ(server_->handshakes(), 1U);
}

TEST_F(AProof, ThatTheServerRefusesLeavesTheOldCredential) {
  for (const std::string how : {"status-401", "status-403"}) {
    SCOPED_TRACE(how);
    const auto before = current_files();
    while_proving(how);
    const auto result = run(JobKind::renew);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::certificate_refused) << result.error().sentence();
    EXPECT_THAT(result.error().sentence(), HasSubstr("does not accept the new certificate"));
    EXPECT_EQ(current_files(), before);
    EXPECT_EQ(status().state, State::degraded);
    EXPECT_FALSE(has_request());
    EXPECT_EQ(hardware_.made_keys(), 1U) << "the key went with its certificate";
    EXPECT_EQ(kind_that_helps(), JobKind::renew) << "the old credential is not what was refused";
  }
  observer_.at_phase = nullptr;
  renew();
}

TEST_F(AProof, ThatEndsInATlsAlertLeavesTheOldCredential) {
  // A server that knows no CA but the manufacturer's sends an alert to the new certificate.
  observer_.at_phase = [&](Phase phase) {
    if (phase != Phase::proving) return;
    const auto& all = Authorities::get();
    const std::uint16_t port = server_->port();
    server_.reset();
    server_ = std::make_unique<EstServer>(
        EstServerSpec{.certificate = all.server.full_chain,
                      .key = all.server.key,
                      .manufacturer_ca = all.manufacturer.certificate,
                      .issuer = {.certificate = all.other_ca.certificate, .key = all.other_ca.key},
                      .port = port});
  };
  const auto before = current_files();
  const auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::certificate_refused) << result.error().sentence();
  EXPECT_EQ(current_files(), before);
  EXPECT_FALSE(has_request());
}

TEST_F(AProof, ThatCannotBeAskedForIsRepeatedWithoutAnotherCertificate) {
  for (const std::string how : {"status-500", "cut-at-once", "no-http", "garbage", "status-404"}) {
    SCOPED_TRACE(how);
    const auto generation = status().generation;
    server_->forget();
    while_proving(how);
    const auto result = run(JobKind::renew);
    observer_.at_phase = nullptr;
    ASSERT_FALSE(result);
    EXPECT_NE(result.error().code, Errc::certificate_refused);
    EXPECT_THAT(result.error().sentence(), HasSubstr("prove the new certificate at the server"));
    EXPECT_EQ(status().generation, generation);
    EXPECT_EQ(status().attempts, 1U) << "it waits as after any failure";
    load();
    EXPECT_EQ(kind_that_helps(), JobKind::renew);
    renew();
    EXPECT_EQ(server_->issued().size(), 1U) << "one certificate for both attempts";
    EXPECT_EQ(status().generation, generation + 1);
    expect_usable_current();
    EXPECT_FALSE(has_request());
  }
}

TEST_F(AProof, IsCancelledWithItsJobAndMadeUpForByTheNext) {
  observer_.cancel_when = [&] { return !observer_.phases.empty() && observer_.phases.back() == "proving"; };
  const auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled);
  EXPECT_TRUE(has_candidate());
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_LE(status().next_attempt, clock_.now());
  observer_.cancel_when = nullptr;
  renew();
  EXPECT_EQ(server_->issued().size(), 1U);
}

TEST_F(AProof, IsGivenUpAfterAnHour) {
  leave_unproven();
  clock_.advance(minutes(59));
  leave_unproven();
  clock_.advance(minutes(1));
  while_proving("status-500");
  renew();
  EXPECT_THAT(noticed(), Contains(HasSubstr("becomes current although it could not be proved")));
  EXPECT_EQ(status().generation, 2U);
  EXPECT_EQ(server_->issued().size(), 1U);
}

TEST_F(AProof, ThatComesTooLateGivesWayToAnEnrollment) {
  leave_unproven();
  start_server(hours(72));
  write_profile();
  clock_.advance(hours(24) + minutes(2));
  load();
  EXPECT_EQ(status().state, State::expired);
  ASSERT_TRUE(run(JobKind::renew)) << "both have expired; in the same job";
  EXPECT_EQ(server_->issued().size(), 1U);
  EXPECT_EQ(hardware_.made_keys(), 2U);
  EXPECT_FALSE(has_candidate());
}

TEST_F(AProof, IsMadeAlsoWhenTheOldCredentialHasExpiredMeanwhile) {
  start_server(hours(48));
  write_profile();
  load();
  leave_unproven();
  clock_.advance(hours(25));
  EXPECT_EQ(status().state, State::expired);
  EXPECT_EQ(kind_that_helps(), JobKind::renew) << "the certificate is there already";
  renew();
  EXPECT_EQ(status().state, State::valid);
  EXPECT_EQ(server_->issued().size(), 1U);
}

TEST_F(AProof, OfTheFirstCredentialDoesNotKeepADeviceWaiting) {
  agent_.reset();
  std::filesystem::remove_all(directory());
  load();
  while_proving("status-500");
  enroll();
  EXPECT_THAT(noticed(), Contains(HasSubstr("could not be proved")));
  expect_usable_current();
}

TEST_F(AProof, ThatIsForcedAwayGoesWithItsKey) {
  leave_unproven();
  ASSERT_TRUE(run(JobKind::renew, {.force = true}));
  EXPECT_EQ(server_->issued().size(), 2U);
  EXPECT_EQ(hardware_.made_keys(), 2U);
}

TEST_F(AProof, OfAKeyThatTheTokenLostIsNotRepeated) {
  leave_unproven();
  FakeToken token(hardware_, "tpm");
  ASSERT_TRUE(token.destroy_key(read_file(directory() / "candidate/token-key.pem", 10000).value_or("")));
  const auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::certificate_wrong_key);
  EXPECT_EQ(kind_that_helps(), JobKind::renew) << "the current key is another one";
  EXPECT_FALSE(has_request());
}

TEST_F(AProof, IsNotWaitedForLongerThanTheCredentialAllows) {
  const Time now = clock_.now();
  const auto lasting = [](Time until) {
    const auto issued = Authorities::get().pki.issue({.issuer = "operator", .not_after = until});
    return identity::Generation{.leaf = certificate_of(issued.certificate_pem)};
  };
  identity::Generation candidate = lasting(now + hours(1000));
  candidate.provenance.created = now;
  const auto current = lasting(now + minutes(40));
  EXPECT_FALSE(identity::may_go_unproven(candidate, &current, now + minutes(9)));
  EXPECT_TRUE(identity::may_go_unproven(candidate, &current, now + minutes(11)));
  EXPECT_TRUE(identity::may_go_unproven(candidate, &current, now + minutes(41)));
  EXPECT_TRUE(identity::may_go_unproven(candidate, nullptr, now));
  const auto lasting_long = lasting(now + hours(1000));
  EXPECT_FALSE(identity::may_go_unproven(candidate, &lasting_long, now + minutes(59)));
  EXPECT_TRUE(identity::may_go_unproven(candidate, &lasting_long, now + minutes(60)));
}

}  // namespace
}  // namespace devid::test
