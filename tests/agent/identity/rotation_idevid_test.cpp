#include <gmock/gmock.h>

#include "agent/identity/abandoned_keys.h"
#include "base/file.h"
#include "tests/agent/identity/site.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// A device with a TPM and an HSM; the profile leaves open where the IDevID is.
class ADeviceWithTwoTokens : public Site {
 protected:
  ADeviceWithTwoTokens() {
    write_file(etc() / "devid.toml", "[pkcs11.hsm]\nuri = \"pkcs11:token=hsm\"\n");
    idevid_.clear();
  }

  /// The IDevID is in the HSM, and nowhere else.
  void move_idevid_to_hsm() {
    hardware_.remove_key("handle:0x81020000");
    hardware_.remove_certificate("nv:0x01c90200");
    put_idevid(hsm_, "pkcs11:id=%01", "pkcs11:id=%01;type=cert");
  }
  static void put_idevid(FakeHardware& hardware, const std::string& key, const std::string& certificate,
                         std::optional<Time> not_after = {}) {
    const auto issued = Authorities::get().pki.issue(
        {.issuer = "manufacturer",
         .subject = "/O=Maker/serialNumber=SN-17",
         .not_after = not_after,
         .public_key = public_key_pem(std::string(as_text(hardware.put_key(key, KeyAlgorithm::ec_p256).spki)))});
    hardware.put_certificate(certificate, to_bytes(as_bytes(issued.certificate_pem)));
  }
  /// The profile with `top` before its tables, as devidd reads it when it starts.
  void start_with(const std::string& top, const std::string& more = {}) {
    write_profile(more);
    const auto file = etc() / "identities.d/gateway.toml";
    write_file(file, top + "\n" + read_file(file, 10000).value_or(""));
    load();
  }
  [[nodiscard]] std::vector<std::string> notices() const {
    std::vector<std::string> sentences;
    for (const auto& notice : observer_.notices) sentences.push_back(notice.sentence);
    return sentences;
  }
};

TEST_F(ADeviceWithTwoTokens, MayHaveTheIdevidInTheTpmAndTheLdevidInTheHsm) {
  start_with("token = \"hsm\"");
  enroll();
  EXPECT_EQ(hsm_.made_keys(), 1U);
  EXPECT_EQ(hardware_.made_keys(), 0U);
  EXPECT_EQ(status().key_protection, "pkcs11");
  renew();
  EXPECT_EQ(hsm_.made_keys(), 2U);
  EXPECT_EQ(hsm_.last_spec().label, "devid:gateway:2");
}

TEST_F(ADeviceWithTwoTokens, MayHaveTheIdevidInTheHsmAndTheLdevidInTheTpm) {
  move_idevid_to_hsm();
  start_with("");
  enroll();
  EXPECT_EQ(hardware_.made_keys(), 1U);
  EXPECT_EQ(hsm_.made_keys(), 0U);
  expect_usable_current();
}

TEST_F(ADeviceWithTwoTokens, MayHaveBothInTheHsm) {
  move_idevid_to_hsm();
  start_with("token = \"hsm\"\nidevid = \"pkcs11:id=%01\"");
  enroll();
  EXPECT_EQ(hsm_.made_keys(), 1U);
  EXPECT_EQ(hardware_.operations(), 0U) << "the URI is of the profile's token";
}

TEST_F(ADeviceWithTwoTokens, MayNameATokenByItsUri) {
  start_with("token = \"pkcs11:token=other\"");
  enroll();
  EXPECT_EQ(hsm_.made_keys(), 1U);
  EXPECT_EQ(agent_->tokens().size(), 3U);
  EXPECT_TRUE(agent_->tokens().contains("pkcs11:token=other"));
}

TEST_F(ADeviceWithTwoTokens, LooksForTheIdevidOnceInItsLife) {
  start_with("");
  enroll();
  EXPECT_EQ(hardware_.count(Operation::list_certificates), 1U);
  load();
  ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
  EXPECT_EQ(hardware_.count(Operation::list_certificates), 1U);
  EXPECT_EQ(hsm_.count(Operation::list_certificates), 1U);
  EXPECT_THAT(notices(), IsEmpty());
}

TEST_F(ADeviceWithTwoTokens, TellsOfAnIdevidThatIsAnotherOneNow) {
  start_with("");
  enroll();
  move_idevid_to_hsm();
  ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
  ASSERT_THAT(notices(), ElementsAre(HasSubstr("from now on it is the key pkcs11:id=%01 in token 'hsm'")));
  EXPECT_THAT(observer_.notices[0].fields,
              ElementsAre(Notice::Field{"DEVID_IDEVID_BEFORE",
                                        "key handle:0x81020000 in token 'tpm' with certificate nv:0x01c90200"},
                          Notice::Field{"DEVID_IDEVID",
                                        "key pkcs11:id=%01 in token 'hsm' with certificate "
                                        "pkcs11:id=%01;type=cert"}));
}

TEST_F(ADeviceWithTwoTokens, EnrollsWithAnExpiredIdevidOnlyWhereItMay) {
  // The server of the tests does not mind the date; devid does.
  clock_.advance(std::chrono::years(20));
  start_with("");
  const auto refused = run(JobKind::enroll);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::idevid_expired);
  EXPECT_EQ(status().state, identity::State::blocked);
  EXPECT_EQ(hardware_.made_keys(), 0U);
  idevid_ = "[idevid]\nallow_expired = true\n";
  start_with("");
  static_cast<void>(run(JobKind::enroll));
  EXPECT_EQ(server_->connections(), 1U) << "it was used";
  EXPECT_THAT(notices(), ElementsAre(HasSubstr("expired on")));
}

TEST_F(ADeviceWithTwoTokens, WithoutAnIdevidSaysWhatWasLookedFor) {
  hardware_.remove_key("handle:0x81020000");
  hardware_.remove_certificate("nv:0x01c90200");
  start_with("");
  const auto refused = run(JobKind::enroll);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::idevid_missing);
  EXPECT_THAT(refused.error().sentence(), HasSubstr("looked at token 'hsm' (certificates: 0, keys: 0), token 'tpm'"));
  EXPECT_THAT(status().reason, HasSubstr("devidctl doctor shows where devid looked"));
}

TEST_F(ADeviceWithTwoTokens, EnrollsAgainWithTheIdevidWhereTheKeyOfTheCredentialIsDead) {
  for (const Errc code : {Errc::token_auth_failed, Errc::token_no_such_key, Errc::token_wrong_key}) {
    start_with("token = \"hsm\"");
    ASSERT_TRUE(run(JobKind::enroll, {.force = true}));
    const auto generation = status().generation;
    // The second operation is the signature of the handshake, after the key was opened.
    hsm_.fail_nth(2, {.code = code, .retry = Retry::after_operator, .what = "the registers changed"});
    EXPECT_EQ(kind_that_helps(), JobKind::renew);
    EXPECT_TRUE(run(JobKind::renew)) << "in the same job";
    hsm_.recover();
    EXPECT_EQ(status().generation, generation + 1);
    EXPECT_THAT(notices(), Contains(HasSubstr("enrolls with the IDevID, as the credential cannot be renewed")));
  }
}

TEST_F(ADeviceWithTwoTokens, PutsTheCertificateBesideItsKey) {
  start_with("token = \"hsm\"");
  enroll();
  const auto files = current_files();
  const auto leaf = pki::read_certificates(as_bytes(files.at("certificate.pem")));
  EXPECT_EQ(hsm_.stored_certificate(files.at("token-key.pem")), leaf->front().der());
  EXPECT_THAT(notices(), IsEmpty());
}

TEST_F(ADeviceWithTwoTokens, HasItsCredentialAlsoWhereTheTokenTakesNoCertificate) {
  start_with("token = \"hsm\"");
  hsm_.fail_each(Operation::store_certificate,
                 {.code = Errc::token_full, .retry = Retry::after_operator, .what = "the token is full"});
  enroll();
  EXPECT_THAT(notices(), ElementsAre(HasSubstr("not beside its key in token 'hsm': the token is full")));
  EXPECT_EQ(status().state, identity::State::valid);
}

class AKeyWithAnAuthorization : public ADeviceWithTwoTokens {
 protected:
  AKeyWithAnAuthorization() { hardware_.know_authorizations(); }
};

TEST_F(AKeyWithAnAuthorization, IsMadeAsTheProfileSays) {
  start_with("", "[key]\nauthorization = \"pcr\"\npcr = \"sha256:7,0\"\n");
  enroll();
  EXPECT_EQ(hardware_.last_spec().authorization, KeyAuthorization(PcrPolicy{.registers = {0, 7}}));
  EXPECT_THAT(current_files().at("meta.json"), HasSubstr("\"key_authorization\": \"pcr:sha256:0,7\""));
}

TEST_F(AKeyWithAnAuthorization, ThatTheProfileWantsNoMoreGivesWayWithItsRequest) {
  start_with("", "[key]\nauthorization = \"value\"\n");
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-503"), 2);
  EXPECT_FALSE(run(JobKind::enroll));
  ASSERT_TRUE(has_request());
  EXPECT_FALSE(run(JobKind::enroll)) << "the server is still away";
  EXPECT_EQ(hardware_.count(Operation::create_key), 1U) << "the same request";
  start_with("");
  clock_.advance(std::chrono::hours(1));
  static_cast<void>(run(JobKind::enroll));
  EXPECT_EQ(hardware_.count(Operation::create_key), 2U);
  EXPECT_EQ(hardware_.last_spec().authorization, KeyAuthorization(NoAuthorization()));
  EXPECT_EQ(hardware_.made_keys(), 1U) << "the other one is destroyed";
}

TEST_F(ADeviceWithTwoTokens, DestroysAfterARestartWhatCouldNotBeDestroyed) {
  start_with("token = \"hsm\"");
  observer_.at_phase = [&](Phase phase) {
    if (phase == Phase::requesting)
      hsm_.fail_each(Operation::destroy_key, {.code = Errc::token_unreachable, .retry = Retry::later, .what = "away"});
  };
  server_->misbehave(EstOperation::simpleenroll, misbehaviour("status-400"), 1);
  EXPECT_FALSE(run(JobKind::enroll));
  EXPECT_EQ(hsm_.made_keys(), 1U);
  EXPECT_TRUE(std::filesystem::exists(directory() / "abandoned-keys.json"));
  hsm_.recover();
  observer_.at_phase = nullptr;
  load();
  enroll();
  EXPECT_EQ(hsm_.made_keys(), 1U);
  EXPECT_FALSE(std::filesystem::exists(directory() / "abandoned-keys.json"));
}

TEST_F(ADeviceWithTwoTokens, NeverDestroysTheKeyOfItsCredential) {
  start_with("token = \"hsm\"");
  enroll();
  const auto pem = read_file(directory() / "current" / "token-key.pem", 4096);
  ASSERT_TRUE(pem);
  identity::AbandonedKeys(directory() / "abandoned-keys.json").add({.token = "hsm", .token_key_pem = *pem});
  load();
  EXPECT_TRUE(run(JobKind::renew)) << "with that very key";
}

/// The token fails at its nth operation while the IDevID is looked for.
TEST_F(ADeviceWithTwoTokens, FailsAsItsOnlyTokenDoesWhileItLooks) {
  write_file(etc() / "devid.toml", "");
  start_with("");
  for (unsigned nth = 1; nth <= 4; ++nth) {
    std::filesystem::remove_all(directory());
    load();
    hardware_.fail_nth(nth, {.code = Errc::token_unreachable, .retry = Retry::later, .what = "the token is away"});
    const auto result = run(JobKind::enroll);
    hardware_.recover();
    ASSERT_FALSE(result) << nth;
    EXPECT_EQ(result.error().code, Errc::token_unreachable) << result.error().sentence();
    EXPECT_EQ(result.error().retry, Retry::later);
  }
}

}  // namespace
}  // namespace devid::test
