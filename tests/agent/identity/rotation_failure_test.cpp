#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>

#include "agent/identity/rotation.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using identity::State;
using std::chrono::hours;
using testing::HasSubstr;

/// The server misbehaves in every way that it knows, one after the other.
class AServerThatMisbehaves : public Site {
 protected:
  void expect_survival(JobKind kind, EstOperation operation) {
    for (const auto& [name, misbehaviour] : all_misbehaviours()) {
      SCOPED_TRACE(operation_name(operation) + ", " + name);
      server_->misbehave(operation, misbehaviour);
      const auto before = current_files();
      const auto shown = status();
      const auto result = run(kind);
      server_->behave();
      if (!result) {
        ++failures_;
        EXPECT_EQ(current_files(), before);
        expect_failure(result.error(), kind, shown.attempts + 1);
      } else if (*result == JobResult::pending) {
        EXPECT_EQ(current_files(), before);
        expect_granted_later(kind);
      } else {
        // An oddity that a tolerant client lives with.
        EXPECT_EQ(status().generation, shown.generation + 1);
        expect_usable_current();
      }
      EXPECT_EQ(has_request(), !result && keeps_request(result.error().code) && is_post(operation));
      EXPECT_EQ(hardware_.made_keys(), status().generation + (has_request() ? 1 : 0))
          << "a key for each generation, one for a request that is there, and no other";
      if (has_request()) expect_granted_later(kind);
      if (kind == JobKind::enroll) forget_everything();
    }
  }

  static bool is_post(EstOperation operation) {
    return operation == EstOperation::simpleenroll || operation == EstOperation::simplereenroll;
  }

  /// The CA may have taken the request all the same; what it has refused or issued wrongly is of no more use.
  static bool keeps_request(Errc code) {
    return code != Errc::server_refused && !code_name(code).starts_with("Certificate");
  }

  void expect_failure(const Error& error, JobKind kind, std::uint32_t attempts) const {
    EXPECT_NE(error.code, Errc::internal) << error.sentence();
    EXPECT_THAT(error.sentence(), HasSubstr(std::string(job_kind_name(kind)) + " identity 'gateway': "));
    const auto shown = status();
    EXPECT_EQ(shown.attempts, attempts);
    ASSERT_TRUE(shown.last_error);
    EXPECT_EQ(shown.last_error->code, error.code);
    ASSERT_TRUE(shown.next_attempt) << "devid never gives up";
    EXPECT_GT(*shown.next_attempt, clock_.now());
    EXPECT_LE(*shown.next_attempt, clock_.now() + hours(6));
  }

  void expect_granted_later(JobKind kind) {
    EXPECT_TRUE(has_request());
    const auto asked = posted().back();
    const auto result = run(kind);
    ASSERT_TRUE(result) << result.error().sentence();
    EXPECT_EQ(*result, JobResult::done);
    EXPECT_EQ(posted().back(), asked) << "with the same key";
    EXPECT_FALSE(has_request());
    expect_usable_current();
  }

  /// A new device.
  void forget_everything() {
    agent_.reset();
    if (fs::exists(directory() / "current")) {
      FakeToken token(hardware_, "tpm");
      ASSERT_TRUE(token.destroy_key(current_files().at("token-key.pem")));
    }
    fs::remove_all(directory());
    load();
  }

  unsigned failures_ = 0;
};

TEST_F(AServerThatMisbehaves, InAnEnrollmentLeavesTheRequestAtMost) {
  expect_survival(JobKind::enroll, EstOperation::simpleenroll);
  EXPECT_GE(failures_, 25U);
  enroll();
}

TEST_F(AServerThatMisbehaves, InARenewalDoesNotDamageTheCredential) {
  enroll();
  expect_survival(JobKind::renew, EstOperation::simplereenroll);
  EXPECT_GE(failures_, 25U);
  renew();
}

TEST_F(AServerThatMisbehaves, WithItsCaCertificatesDoesNotDamageTheCredential) {
  enroll();
  expect_survival(JobKind::renew, EstOperation::cacerts);
  EXPECT_GE(failures_, 20U);
  renew();
}

TEST_F(AServerThatMisbehaves, WithItsCsrAttributesDoesNotDamageTheCredential) {
  enroll();
  expect_survival(JobKind::renew, EstOperation::csrattrs);
  renew();
}

class AFailure : public Site {
 protected:
  Error error_of(JobKind kind) {
    const auto result = run(kind);
    EXPECT_FALSE(result);
    return result ? Error() : result.error();
  }
};

TEST_F(AFailure, SaysWhatTheServerSaid) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-403"));
  const Error error = error_of(JobKind::enroll);
  EXPECT_EQ(error.code, Errc::server_unauthorized);
  EXPECT_THAT(error.sentence(), HasSubstr("this device is barred"));
  EXPECT_EQ(status().state, State::blocked);
  EXPECT_THAT(status().reason, HasSubstr("this device is barred"));
  EXPECT_GE(*status().next_attempt, clock_.now() + hours(3));
}

TEST_F(AFailure, OfARenewalIsDegradedAndTriedAgainSoon) {
  enroll();
  server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-500"));
  EXPECT_EQ(error_of(JobKind::renew).code, Errc::server_unavailable);
  EXPECT_EQ(status().state, State::degraded);
  EXPECT_GE(*status().next_attempt, clock_.now() + Seconds(60));
  EXPECT_LE(*status().next_attempt, clock_.now() + std::chrono::minutes(49)) << "a thirtieth of the day that is left";
}

TEST_F(AFailure, IsRememberedAcrossARestart) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-500"));
  EXPECT_FALSE(run(JobKind::enroll));
  EXPECT_FALSE(run(JobKind::enroll));
  const auto before = status();
  load();
  const auto after = status();
  EXPECT_EQ(after.attempts, 2U);
  EXPECT_EQ(after.next_attempt, before.next_attempt);
  EXPECT_EQ(after.last_attempt, before.last_attempt);
  EXPECT_EQ(after.last_error->sentence(), before.last_error->sentence());
  EXPECT_EQ(after.reason, before.reason);
}

TEST_F(AFailure, IsForgottenAfterASuccess) {
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-500"), 1);
  EXPECT_FALSE(run(JobKind::enroll));
  enroll();
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_FALSE(status().last_error);
}

TEST_F(AFailure, OfAServerThatIsNotThereIsTriedAgainLater) {
  server_.reset();
  const Error error = error_of(JobKind::enroll);
  EXPECT_EQ(error.code, Errc::network_unreachable);
  EXPECT_EQ(status().state, State::unenrolled);
}

TEST_F(AFailure, OfTrustInTheServerIsToldBeforeAnyKeyIsMade) {
  write_profile();
  write_file(etc() / "identities.d/gateway.toml",
             "[server]\nurl = \"" + server_->url("localhost") + "\"\ntrust_anchors = \"" +
                 Authorities::get().other_ca.certificate.string() +
                 "\"\n[idevid]\nkey = \"handle:0x81020000\"\ncertificate = \"nv:0x01c90200\"\n");
  load();
  EXPECT_EQ(error_of(JobKind::enroll).code, Errc::tls_untrusted);
  EXPECT_EQ(hardware_.count(Operation::create_key), 0U);
}

TEST_F(AFailure, OfATrustAnchorsFileNamesTheFile) {
  const fs::path file = directory_.path() / "anchors.pem";
  write_profile("[certificate]\ntrust_anchors = \"" + file.string() + "\"\n");
  load();
  Error error = error_of(JobKind::enroll);
  EXPECT_EQ(error.code, Errc::config_missing);
  EXPECT_THAT(error.sentence(), HasSubstr(file.string() + " (No such file"));
  EXPECT_EQ(status().state, State::blocked);
  write_file(file, "no certificate");
  error = error_of(JobKind::enroll);
  EXPECT_EQ(error.code, Errc::config_invalid);
  EXPECT_THAT(error.sentence(), HasSubstr(file.string()));
  // The file is read by every job: no restart, no reload.
  fs::copy_file(Authorities::get().operator_ca.certificate, file, fs::copy_options::overwrite_existing);
  enroll();
}

TEST_F(AFailure, OfTheIdevidSaysWhatToCheck) {
  const auto other = Authorities::get().pki.issue({.issuer = "manufacturer", .subject = "/serialNumber=other"});
  hardware_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(other.certificate_pem)));
  Error error = error_of(JobKind::enroll);
  EXPECT_EQ(error.code, Errc::idevid_mismatch);
  EXPECT_THAT(error.hint, HasSubstr("belong together"));
  EXPECT_EQ(status().state, State::blocked);
  hardware_.put_certificate("nv:0x01c90200", to_bytes(as_bytes("garbage")));
  EXPECT_EQ(error_of(JobKind::enroll).code, Errc::idevid_missing);
  hardware_.put_certificate("nv:0x01c90200", {});
  EXPECT_EQ(error_of(JobKind::enroll).code, Errc::idevid_missing);
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(AFailure, ForWantOfANameSaysWhereToGiveOne) {
  const PublicKey key = hardware_.put_key("handle:0x81020000", KeyAlgorithm::ec_p256);
  const auto idevid = Authorities::get().pki.issue({.issuer = "manufacturer",
                                                    .subject = "/CN=nameless",
                                                    .public_key = public_key_pem(std::string(as_text(key.spki)))});
  hardware_.put_certificate("nv:0x01c90200", to_bytes(as_bytes(idevid.certificate_pem)));
  const Error error = error_of(JobKind::enroll);
  EXPECT_EQ(error.code, Errc::config_invalid);
  EXPECT_EQ(error.hint, "give the identity a [subject] in " + (etc() / "identities.d/gateway.toml").string());
}

TEST_F(AFailure, OfTheCurrentKeyIsOvercomeWithTheIdevid) {
  enroll();
  const auto lost = current_files().at("token-key.pem");
  // A renewal waits at the CA when the token loses the key that it is authenticated with.
  server_->misbehave(EstOperation::simplereenroll, misbehaviour("status-202"), 1);
  ASSERT_TRUE(run(JobKind::renew));
  FakeToken token(hardware_, "tpm");
  ASSERT_TRUE(token.destroy_key(lost));
  ASSERT_EQ(kind_that_helps(), JobKind::renew);
  EXPECT_TRUE(run(JobKind::renew)) << "in the same job";
  EXPECT_EQ(status().generation, 2U);
  EXPECT_FALSE(has_request());
  EXPECT_EQ(hardware_.made_keys(), 1U);
  expect_usable_current();
}

class ACancelledJob : public Site {};

TEST_F(ACancelledJob, LeavesEverythingAsItWas) {
  enroll();
  const auto before = status();
  const auto files = current_files();
  // Connecting, CA certificates, creating a key, requesting.
  for (std::size_t phases = 0; phases < 4; ++phases) {
    SCOPED_TRACE(phases);
    clock_.advance(Seconds(1));
    observer_.cancel_after = phases;
    const auto result = run(JobKind::renew);
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Errc::cancelled);
    EXPECT_EQ(current_files(), files);
    EXPECT_FALSE(has_request());
    EXPECT_EQ(hardware_.made_keys(), 1U);
    const auto after = status();
    EXPECT_EQ(after.state, State::valid);
    EXPECT_EQ(after.attempts, 0U);
    EXPECT_EQ(after.next_attempt, before.next_attempt);
    EXPECT_EQ(after.last_attempt, clock_.now());
  }
}

TEST_F(ACancelledJob, KeepsARequestThatIsOnItsWay) {
  enroll();
  server_->misbehave(EstOperation::simplereenroll, misbehaviour("stalled"), 1);
  observer_.cancel_when = [&] { return posted().size() == 2; };
  const auto result = run(JobKind::renew);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Errc::cancelled) << result.error().sentence();
  EXPECT_TRUE(has_request());
  EXPECT_EQ(hardware_.made_keys(), 2U);
  EXPECT_EQ(status().attempts, 0U);
  EXPECT_LE(status().next_attempt, clock_.now()) << "the answer is fetched at the next run";
  observer_.cancel_when = nullptr;
  const auto asked = posted().back();
  renew();
  EXPECT_EQ(posted().back(), asked);
}

TEST_F(ACancelledJob, IsTooLateOnceTheAnswerIsThere) {
  prove_nothing();
  enroll();
  for (std::size_t phases = 5; phases < 7; ++phases) {
    SCOPED_TRACE(phases);
    observer_.cancel_after = phases;
    renew();
    EXPECT_EQ(observer_.phases.back(), "installing");
  }
}

/// Files cannot grow beyond some size: to a program the same as a full disk, at one point after the other.
class AFullDisk : public Site {
 protected:
  static void limit_files(rlim_t bytes) {
    rlimit limit{};
    ASSERT_EQ(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = std::min(bytes, limit.rlim_max);
    ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
  }
  AFullDisk() : before_(std::signal(SIGXFSZ, SIG_IGN)) {}
  AFullDisk(const AFullDisk&) = delete;
  AFullDisk& operator=(const AFullDisk&) = delete;
  AFullDisk(AFullDisk&&) = delete;
  AFullDisk& operator=(AFullDisk&&) = delete;
  ~AFullDisk() override {
    limit_files(RLIM_INFINITY);
    std::signal(SIGXFSZ, before_);
  }

 private:
  void (*before_)(int);
};

TEST_F(AFullDisk, KeepsTheCredentialWhereverItStrikes) {
  enroll();
  unsigned failures = 0;
  for (const rlim_t bytes : {0, 100, 200, 300, 400, 500, 600, 700, 1000}) {
    SCOPED_TRACE(bytes);
    const auto before = current_files();
    const std::size_t keys = hardware_.made_keys();
    limit_files(bytes);
    const auto result = run(JobKind::renew);
    limit_files(RLIM_INFINITY);
    expect_usable_current();
    if (result) continue;
    ++failures;
    EXPECT_EQ(result.error().code, Errc::storage_failed) << result.error().sentence();
    EXPECT_EQ(current_files(), before);
    EXPECT_EQ(hardware_.made_keys(), keys + (has_request() ? 1 : 0));
    EXPECT_EQ(status().state, State::degraded);
    load();
    EXPECT_EQ(status().generation, keys);
    drop_request();
  }
  EXPECT_GE(failures, 5U);
  renew();
}

}  // namespace
}  // namespace devid::test
