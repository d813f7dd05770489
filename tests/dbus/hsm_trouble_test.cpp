// What an operator sees of an HSM that is misconfigured or in trouble, and what devidd leaves alone meanwhile.

#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include <cstdlib>

#include "tests/dbus/hsm_device.h"
#include "tests/support/pkcs11_tap.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool holds(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// What `devidctl tokens --json` says of a token.
json token(const Device& device, const std::string& name) {
  const auto outcome = device.ctl({"tokens", "--json"});
  const json tokens = json::parse(outcome.output)["tokens"];
  for (const auto& one : tokens)
    if (one["name"] == name) return one;
  ADD_FAILURE() << "no token " << name << " in " << outcome.output << outcome.errors;
  return {};
}

/// A device whose HSM is reached through the tap, which counts what devidd does.
class AnHsmInTrouble : public testing::Test {
 protected:
  AnHsmInTrouble() {
    tap_.watch(0);
    device().write_profile("gateway", {}, "token = \"hsm\"\nidevid = \"pkcs11:id=%01\"\n");
  }

  Device& device() { return site_.device(); }
  [[nodiscard]] const HsmToken& hsm_token() { return site_.hsm().token(); }

  void configure(const std::string& lines) {
    device().write_configuration("devid.toml", "[tpm]\ntcti = \"" + device().tap().tcti() + "\"\n" + lines);
  }
  [[nodiscard]] std::string section(const std::string& uri, const std::string& more = {}) {
    return "[pkcs11.hsm]\nuri = \"" + uri + "\"\nmodule = \"" + Pkcs11Tap::module().string() + "\"\npin = \"" +
           hsm_token().pin_file.string() + "\"\n" + more;
  }

  void expect_enrolls() {
    const auto enrolled = device().ctl({"enroll", "gateway"});
    EXPECT_EQ(enrolled.status, 0) << enrolled.errors << device().bus().log();
  }
  /// Fails with the code, and tells it with a hint where a user looks: devidctl, its status, the journal.
  void expect_refused(const std::string& code, const std::string& said) {
    const auto enrolled = device().ctl({"enroll", "gateway"});
    EXPECT_EQ(enrolled.status, 1);
    EXPECT_TRUE(holds(enrolled.errors, said)) << enrolled.errors;
    EXPECT_TRUE(holds(enrolled.errors, "hint: ")) << enrolled.errors;
    const auto status = device().status();
    EXPECT_EQ(status["last_error"]["code"], code);
    EXPECT_TRUE(holds(device().ctl({"status"}).output, said)) << device().ctl({"status"}).output;
    EXPECT_TRUE(holds(device().bus().log(), said)) << device().bus().log();
  }

  Pkcs11Tap tap_{SoftHsm::module()};  // first: devidd finds it through the environment
  HsmDevice site_{HsmDevice::Idevid::in_hsm, Pkcs11Tap::module()};
};

TEST_F(AnHsmInTrouble, ForAWrongPinHasOneLoginForAllRestartsUntilThePinChanges) {
  SoftHsm::write_pin_file(hsm_token(), "00000000");
  for (int start = 0; start < 3; ++start) {
    expect_refused("TokenAuthFailed", "PIN");
    static_cast<void>(device().ctl({"doctor"}));
    static_cast<void>(device().ctl({"run-due"}));
    EXPECT_TRUE(holds(token(device(), "hsm")["remarks"].dump(), "refused the PIN")) << token(device(), "hsm");
    ASSERT_TRUE(device().bus().kill_owner(SIGTERM));
  }
  EXPECT_EQ(tap_.calls("C_Login"), 1U);
  EXPECT_FALSE(holds(device().bus().log(), "00000000"));
  SoftHsm::write_pin_file(hsm_token(), hsm_token().pin);
  expect_enrolls();
  EXPECT_EQ(tap_.calls("C_Login"), 2U);
}

TEST_F(AnHsmInTrouble, WithAPinThatTheOperatorMadeRightInTheTokenGoesOnWhenTheConfigurationChanges) {
  SoftHsm::write_pin_file(hsm_token(), "87654321");
  expect_refused("TokenAuthFailed", "PIN");
  site_.hsm().change_pin("87654321");
  expect_refused("TokenAuthFailed", "PIN");
  configure(section(hsm_token().uri() + ";serial=" + hsm_token().serial_number));
  ASSERT_EQ(device().ctl({"reload"}).status, 0);
  expect_enrolls();
  EXPECT_EQ(tap_.calls("C_Login"), 2U);
}

TEST_F(AnHsmInTrouble, TellsOfAPinThatIsLowOrLocked) {
  ASSERT_TRUE(token(device(), "hsm")["remarks"].empty()) << token(device(), "hsm");
  tap_.set_token_flags(CKF_USER_PIN_COUNT_LOW);
  EXPECT_TRUE(holds(token(device(), "hsm")["remarks"].dump(), "a wrong user PIN was tried"));
  EXPECT_TRUE(holds(device().ctl({"tokens"}).output, "a wrong user PIN was tried"));
  tap_.set_token_flags(CKF_USER_PIN_FINAL_TRY);
  expect_refused("TokenLockedOut", "one wrong PIN more locks the token");
  tap_.set_token_flags(CKF_USER_PIN_LOCKED);
  expect_refused("TokenLockedOut", "PIN of the token is locked");
  EXPECT_EQ(tap_.calls("C_Login"), 0U);
}

TEST_F(AnHsmInTrouble, WithoutItsPinSaysWhereItWasExpected) {
  fs::remove(hsm_token().pin_file);
  expect_refused("ConfigMissing", hsm_token().pin_file.string());
}

TEST_F(AnHsmInTrouble, IsToldOfWithItsHintAlsoWhereTheIdevidIsLookedForEverywhere) {
  device().write_profile("gateway", {}, "token = \"hsm\"\n");
  SoftHsm::write_pin_file(hsm_token(), "00000000");
  expect_refused("IdevidMissing", "the token refuses the PIN");
  EXPECT_TRUE(holds(device().ctl({"enroll", "gateway"}).errors, "put the right PIN into")) << device().bus().log();
  EXPECT_EQ(tap_.calls("C_Login"), 1U);
}

TEST_F(AnHsmInTrouble, BecauseItIsFullOrWriteProtectedSaysSo) {
  tap_.fail("C_GenerateKeyPair", CKR_DEVICE_MEMORY);
  expect_refused("TokenFull", "the token is full");
  tap_.set_token_flags(CKF_WRITE_PROTECTED);
  ASSERT_TRUE(device().bus().kill_owner(SIGTERM));
  expect_refused("TokenReadOnly", "write-protected");
  EXPECT_TRUE(holds(token(device(), "hsm")["remarks"].dump(), "write-protected"));
}

TEST_F(AnHsmInTrouble, WithAModuleThatCrashesIsNotTheEndOfDevidd) {
  const TemporaryDirectory untried;
  const fs::path module = untried.path() / "vendor.so";
  fs::copy_file(Pkcs11Tap::module(), module);
  configure("[pkcs11.hsm]\nuri = \"" + hsm_token().uri() + "\"\nmodule = \"" + module.string() + "\"\n");
  tap_.misbehave(ModuleMisbehaviour::crash_in_initialize);
  EXPECT_EQ(token(device(), "hsm")["error"]["code"], "TokenModule");
  const pid_t devidd = device().bus().owner();
  expect_refused("TokenModule", "C_Initialize");
  EXPECT_EQ(device().bus().owner(), devidd) << device().bus().log();
}

TEST_F(AnHsmInTrouble, WithTwoTokensOfOneNameListsThemAndIsToldApartBySerialNumber) {
  const HsmToken& other = site_.hsm().add_token(hsm_token().label);
  expect_refused("TokenAmbiguous", other.serial_number);
  EXPECT_TRUE(holds(device().status()["last_error"]["text"], hsm_token().serial_number));
  configure(section("pkcs11:serial=" + hsm_token().serial_number));
  ASSERT_EQ(device().ctl({"reload"}).status, 0);
  expect_enrolls();
}

TEST_F(AnHsmInTrouble, BecauseItsKeyWasDeletedEnrollsAnew) {
  expect_enrolls();
  for (const char* type : {"privkey", "pubkey"})
    site_.hsm().delete_object(hsm_token(), type, HsmDevice::key_id(device().current()));
  ASSERT_TRUE(device().bus().kill_owner(SIGTERM));
  EXPECT_EQ(device().ctl({"renew", "gateway"}).status, 0) << "with the IDevID, in the same job";
  EXPECT_TRUE(holds(device().bus().log(), "the token has no such private key"));
  EXPECT_EQ(device().status()["generation"], 2);
  EXPECT_EQ(site_.flaw_of_key(device().current()), "");
}

TEST_F(AnHsmInTrouble, BecauseItWasPulledSignsWhenItIsBackInTheSameDevidd) {
  expect_enrolls();
  const pid_t devidd = device().bus().owner();
  tap_.set_gone(true);
  EXPECT_EQ(device().ctl({"renew", "gateway"}).status, 1);
  EXPECT_EQ(device().status()["last_error"]["code"], "TokenUnreachable");
  tap_.set_gone(false);
  EXPECT_EQ(device().ctl({"renew", "gateway"}).status, 0) << device().bus().log();
  EXPECT_EQ(device().bus().owner(), devidd);
}

TEST_F(AnHsmInTrouble, ThatMakesExtractableKeysIsNotUsed) {
  tap_.misbehave(ModuleMisbehaviour::extractable_keys);
  expect_refused("TokenFailed", "CKA_EXTRACTABLE");
  EXPECT_EQ(site_.hsm().count(hsm_token(), "Private Key"), 1U) << "that of the factory";
}

TEST_F(AnHsmInTrouble, HasEachCertificateBesideItsKeyWhereItIsToldTo) {
  configure(section(hsm_token().uri(), "store_certificates = true\n"));
  const std::size_t before = site_.hsm().count(hsm_token(), "Certificate");
  expect_enrolls();
  EXPECT_EQ(site_.hsm().count(hsm_token(), "Certificate"), before + 1);
  EXPECT_TRUE(holds(site_.hsm().listing(hsm_token()), "devid:gateway:1")) << site_.hsm().listing(hsm_token());
  EXPECT_EQ(site_.flaw_of_stored_certificate(device().current()), "");
  ASSERT_EQ(device().ctl({"renew", "gateway"}).status, 0) << device().bus().log();
  EXPECT_EQ(site_.flaw_of_stored_certificate(device().current()), "");
  const auto diagnosis = json::parse(device().ctl({"doctor", "--json"}).output);
  for (const auto& row : diagnosis["evidence"])
    EXPECT_FALSE(holds(row["found"], "operator")) << "an LDevID is no candidate: " << row;
}

/// A PIN from a credential of systemd.
TEST(AnHsm, MayHaveItsPinInACredentialOfSystemd) {
  const TemporaryDirectory credentials;
  ::setenv("CREDENTIALS_DIRECTORY", credentials.path().c_str(), 1);  // NOLINT(concurrency-mt-unsafe): one thread
  HsmDevice site(HsmDevice::Idevid::in_hsm);
  fs::copy_file(site.hsm().token().pin_file, credentials.path() / "hsm-pin");
  const std::string uri =
      site.hsm().token().uri() + "?module-path=" + SoftHsm::module().string() + "&pin-source=credential:hsm-pin";
  site.device().write_configuration(
      "devid.toml", "[tpm]\ntcti = \"" + site.device().tap().tcti() + "\"\n[pkcs11.hsm]\nuri = \"" + uri + "\"\n");
  site.device().write_profile("gateway", {}, "token = \"hsm\"\n");
  const auto enrolled = site.device().ctl({"enroll", "gateway"});
  EXPECT_EQ(enrolled.status, 0) << enrolled.errors << site.device().bus().log();
  ::unsetenv("CREDENTIALS_DIRECTORY");  // NOLINT(concurrency-mt-unsafe)
}

}  // namespace
}  // namespace devid::test
