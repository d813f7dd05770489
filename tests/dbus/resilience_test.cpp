#include <gtest/gtest.h>

#include <functional>
#include <iostream>
#include <string>
#include <vector>

#include "tests/dbus/device.h"

namespace devid::test {
namespace {

/// Something goes wrong while an enrolled device renews, and the code that says so.
struct Mishap {
  std::string name;
  std::function<void(Device&)> happen;
  std::string code;
};

class AnEnrolledDevice : public ::testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(device_.ctl({"enroll", "gateway"}).status, 0) << device_.bus().log(); }

  /// A renewal that fails with `code`, and leaves everything else as it was.
  void expect_survived(const Mishap& mishap) {
    SCOPED_TRACE(mishap.name);
    const auto before = device_.status();
    mishap.happen(device_);
    const auto outcome = device_.ctl({"renew", "gateway"});
    device_.tap().heal();
    device_.server().behave();
    EXPECT_EQ(outcome.status, 1) << outcome.output;
    EXPECT_NE(outcome.errors.find("error: gateway: "), std::string::npos) << outcome.errors;
    const auto after = device_.status();
    EXPECT_EQ(after["last_error"]["code"], mishap.code) << after["last_error"].dump();
    EXPECT_TRUE(after["state"] == "degraded" || after["state"] == "blocked") << after["state"];
    EXPECT_GT(after["next_attempt"], after["last_attempt"]) << "it is tried again";
    EXPECT_EQ(after["fingerprint"], before["fingerprint"]);
    EXPECT_EQ(after["generation"], before["generation"]);
    EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  }

  /// The renewal is refused, and the IDevID obtains another credential in the same job.
  void expect_replaced(const Mishap& mishap) {
    SCOPED_TRACE(mishap.name);
    const auto before = device_.status();
    mishap.happen(device_);
    const auto outcome = device_.ctl({"renew", "gateway"});
    device_.tap().heal();
    device_.server().behave();
    EXPECT_EQ(outcome.status, 0) << outcome.errors;
    const auto after = device_.status();
    EXPECT_EQ(after["state"], "valid");
    EXPECT_EQ(after["generation"].get<int>(), before["generation"].get<int>() + 1);
    EXPECT_NE(device_.bus().log().find("enrolls with the IDevID, as the credential cannot be renewed"),
              std::string::npos);
    EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  }

  Device device_;
};

TEST_F(AnEnrolledDevice, KeepsItsCredentialWhateverItsTpmDoes) {
  const std::vector<Mishap> mishaps{
      {"no TPM there", [](Device& d) { d.tap().set_gone(true); }, "TokenUnreachable"},
      {"gone in mid-call", [](Device& d) { d.tap().cut_at(3, TpmTap::Cut::before_the_tpm_sees_it); },
       "TokenUnreachable"},
      {"lockout", [](Device& d) { d.tap().answer(TpmCommand::sign, 0x921); }, "TokenLockedOut"},
      {"not started", [](Device& d) { d.tap().answer(TpmCommand::create, 0x100); }, "TokenNotReady"},
      {"failure mode", [](Device& d) { d.tap().answer(TpmCommand::create, 0x101); }, "TokenFailed"},
  };
  for (const auto& mishap : mishaps) expect_survived(mishap);
  EXPECT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << "and then all is well: " << device_.bus().log();
  EXPECT_EQ(device_.status()["state"], "valid");
  EXPECT_EQ(device_.status()["attempts"], 0);
}

TEST_F(AnEnrolledDevice, KeepsItsCredentialWhateverItsServerAnswers) {
  const auto answer = [](const char* name) {
    return [name](Device& d) { d.server().misbehave(EstOperation::simplereenroll, misbehaviour(name), 1); };
  };
  const std::vector<Mishap> mishaps{
      {"certificate for another key", answer("wrong-key"), "CertificateWrongKey"},
      {"another CA", answer("wrong-chain"), "CertificateUntrusted"},
      {"expired", answer("expired"), "CertificateNotValidNow"},
      {"a CA certificate", answer("ca-certificate"), "CertificateIsCa"},
      {"other names", answer("other-names"), "CertificateWrongName"},
      {"an empty CMS", answer("empty-cms"), "AnswerMalformed"},
      {"10 MB", answer("oversized"), "AnswerTooLarge"},
      {"500", answer("status-500"), "ServerUnavailable"},
      {"the connection cut", answer("cut-in-body"), "NetworkUnreachable"},
  };
  for (const auto& mishap : mishaps) expect_survived(mishap);
  expect_survived({"no server",
                   [](Device& d) {
                     d.stop_server();
                     d.start_server();
                     d.server().cut_handshakes(0);
                   },
                   "NetworkUnreachable"});
  EXPECT_EQ(device_.ctl({"renew", "gateway"}).status, 0) << device_.bus().log();
}

TEST_F(AnEnrolledDevice, ReplacesACredentialThatCannotBeRenewed) {
  const std::vector<Mishap> mishaps{
      {"wrong auth", [](Device& d) { d.tap().answer(TpmCommand::sign, 0x9a2); }, ""},
      {"its blob is not accepted", [](Device& d) { d.tap().answer(TpmCommand::load, 0x1df); }, ""},
      {"401", [](Device& d) { d.server().misbehave(EstOperation::simplereenroll, misbehaviour("status-401"), 1); }, ""},
  };
  for (const auto& mishap : mishaps) expect_replaced(mishap);
}

TEST_F(AnEnrolledDevice, SurvivesARebootOfItsTpm) {
  device_.swtpm().restart();
  device_.tap().forget_loaded();
  const auto renewed = device_.ctl({"renew", "gateway"});
  EXPECT_EQ(renewed.status, 0) << renewed.errors << device_.bus().log();
  EXPECT_EQ(flaw_of_key(device_.current(), device_.swtpm().tcti()), "");
}

TEST_F(AnEnrolledDevice, StillShowsItsCredentialWhenItsConfigurationIsBroken) {
  device_.write_configuration("identities.d/gateway.toml",
                              "[server]\nurl = \"http://127.0.0.1\"\ntrust_anchors = \"/dev/null\"\n");
  ASSERT_TRUE(device_.bus().kill_owner(SIGTERM));
  const auto status = device_.status();
  EXPECT_EQ(status["state"], "blocked");
  EXPECT_EQ(status["generation"], 1);
  EXPECT_NE(status["reason"].get<std::string>().find("gateway.toml:2:7"), std::string::npos) << status["reason"];
  EXPECT_EQ(flaw_of_current(device_.current(), device_.operator_root()), "");
  device_.write_profile("gateway");
  ASSERT_EQ(device_.ctl({"reload"}).status, 0);
  EXPECT_EQ(device_.status()["state"], "valid");
}

TEST_F(AnEnrolledDevice, LeavesNoSecretAndNoCertificateInItsLog) {
  ASSERT_EQ(device_.ctl({"renew", "gateway"}).status, 0);
  const std::string log = device_.bus().log();
  EXPECT_NE(log.find("generation 2 is in place"), std::string::npos) << log;
  EXPECT_EQ(log.find("-----BEGIN"), std::string::npos) << log;
}

}  // namespace
}  // namespace devid::test
