// What goes wrong with a TPM, and what devid makes of it.

#include <cstdlib>
#include <fstream>

#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ATpm : public DeviceTpm {
 protected:
  /// Puts an EC key with these attributes and this auth value at a persistent handle.
  void provision(const std::string& handle, const std::string& attributes, const std::string& options = "") const {
    const std::string context = (directory_.path() / "key.ctx").string();
    tpm2("tpm2_createprimary -Q -C o " + options + " -a 'fixedtpm|fixedparent|sensitivedataorigin|" + attributes +
         "' -c " + context + " && tpm2_flushcontext -t && tpm2_evictcontrol -Q -C o -c " + context + " " + handle +
         " && tpm2_flushcontext -t");
  }

  /// Defines an NV index and writes a file of these contents to it.
  void write_index(const std::string& index, const std::string& contents, const std::string& attributes) const {
    const std::string file = (directory_.path() / "index").string();
    std::ofstream(file) << contents;
    tpm2("tpm2_nvdefine -Q -C o " + index + " -s " + std::to_string(contents.size()) + " -a '" + attributes +
         "' && tpm2_nvwrite -Q -C o " + index + " -i " + file);
  }
};

class NoTpm : public testing::Test {
 protected:
  // What tpm2-tss prints of itself for each failed connection.
  static void SetUpTestSuite() { setenv("TSS2_LOG", "all+NONE", 0); }
};

TEST_F(NoTpm, IsUnreachableAndSaysWhatToCheck) {
  for (const std::string& tcti :
       {std::string("swtpm:host=127.0.0.1,port=1"), std::string("swtpm:host=127.0.0.1,port=nonsense"),
        std::string("no-such-tcti"), std::string("device:/nonexistent/tpmrm0")}) {
    TpmToken token({.tcti = tcti});
    const auto key = token.create_key({});
    EXPECT_THAT(key, fails_with(Errc::token_unreachable)) << tcti;
    EXPECT_EQ(key.error().retry, Retry::later);
    EXPECT_THAT(key.error().what, HasSubstr(tcti));
    EXPECT_THAT(key.error().reason, HasSubstr("Tss2_TctiLdr_Initialize: 0x"));
    EXPECT_THAT(key.error().hint, HasSubstr("/dev/tpmrm0"));
    EXPECT_THAT(token.open_key_at("handle:0x81020000"), fails_with(Errc::token_unreachable));
    EXPECT_THAT(token.list_keys(), fails_with(Errc::token_unreachable));
    EXPECT_THAT(token.read_certificate("nv:0x01c90200"), fails_with(Errc::token_unreachable));
  }
}

TEST_F(NoTpm, IsUsedAsSoonAsItIsThere) {
  Swtpm swtpm;
  swtpm.stop();
  TpmToken token({.tcti = swtpm.tcti()});
  EXPECT_THAT(token.create_key({}), fails_with(Errc::token_unreachable));
  swtpm.start();
  EXPECT_TRUE(token.create_key({}));
}

TEST(AnUnstartedTpm, IsNotReadyUntilSomebodyStartsIt) {
  const Swtpm swtpm(Swtpm::Startup::missing);
  TpmToken token({.tcti = swtpm.tcti()});
  const auto key = token.create_key({});
  EXPECT_THAT(key, fails_with(Errc::token_not_ready));
  EXPECT_THAT(key.error().hint, HasSubstr("TPM2_Startup"));
  run_tpm2(swtpm.tcti(), "tpm2_startup -c");
  EXPECT_TRUE(token.create_key({}));
}

TEST_F(ATpm, RefusesAKeyWithAPasswordAsAnAuthFailureAndTriesItOnce) {
  provision("0x81020005", "userwithauth|sign", "-G ecc256:ecdsa -p secret");
  const auto key = token_->open_key_at("handle:0x81020005");
  ASSERT_TRUE(key) << key.error().sentence();
  const auto signature = sign(**key);
  EXPECT_THAT(signature, fails_with(Errc::token_auth_failed));
  EXPECT_EQ(signature.error().retry, Retry::after_operator);
  EXPECT_THAT(signature.error().what, HasSubstr("handle:0x81020005"));
  EXPECT_THAT(signature.error().reason, HasSubstr("Esys_Sign: 0x98e"));
  const auto seen = tap_.seen();
  EXPECT_EQ(seen.count(TpmCommand::sign) - seen.retried, 1U) << "each try brings the lockout nearer";
  EXPECT_THAT(tpm2("tpm2_getcap properties-variable | grep -A1 LOCKOUT_COUNTER"), HasSubstr("0x1"));
}

TEST_F(ATpm, InLockoutRefusesTheIDevIDButSignsWithDevidsOwnKeys) {
  provision("0x81020005", "userwithauth|sign", "-G ecc256:ecdsa -p secret");
  tpm2("tpm2_dictionarylockout -s -n 1 -t 3600 -l 3600");
  const auto guessed = token_->open_key_at("handle:0x81020005");
  ASSERT_TRUE(guessed);
  EXPECT_THAT(sign(**guessed), fails_with(Errc::token_auth_failed));

  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  const auto signature = sign(*identity);
  EXPECT_THAT(signature, fails_with(Errc::token_locked_out));
  EXPECT_EQ(signature.error().retry, Retry::later);
  EXPECT_THAT(signature.error().hint, HasSubstr("tpm2_dictionarylockout"));
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);

  tpm2("tpm2_dictionarylockout -c");
  expect_signs(*identity);
}

TEST_F(ATpm, RefusesKeysThatDoNotSignWhatDevidAsksFor) {
  ASSERT_TRUE(created(*token_));  // makes the storage root key
  const auto storage = token_->open_key_at("handle:0x81000001");
  EXPECT_THAT(storage, fails_with(Errc::token_wrong_key));
  EXPECT_THAT(storage.error().what, HasSubstr("storage key"));

  provision("0x81020006", "userwithauth|restricted|sign", "-G ecc256:ecdsa-sha256:null");
  EXPECT_THAT(token_->open_key_at("handle:0x81020006"), fails_with(Errc::token_wrong_key)) << "an attestation key";
  provision("0x81020007", "adminwithpolicy|sign", "-G ecc256:ecdsa");
  EXPECT_THAT(token_->open_key_at("handle:0x81020007"), fails_with(Errc::token_unsupported)) << "needs a policy";
  provision("0x81020008", "userwithauth|sign", "-G rsa1024");
  EXPECT_THAT(token_->open_key_at("handle:0x81020008"), fails_with(Errc::token_unsupported)) << "RSA-1024";

  const auto keys = token_->list_keys();
  ASSERT_TRUE(keys) << keys.error().sentence();
  std::vector<std::string> why;
  for (const auto& [location, key] : *keys) why.push_back(location + ": " + (key ? "" : key.error().what));
  EXPECT_THAT(why, testing::ElementsAre(HasSubstr("handle:0x81000001: it is a decryption or storage key"),
                                        factory_.key_location + ": ", HasSubstr("0x81020006: it is a restricted key"),
                                        HasSubstr("0x81020007: it can be used with a policy only"),
                                        testing::StartsWith("handle:0x81020008: ")));
}

TEST_F(ATpm, SignsOnlyWithTheSchemeThatAFactoryKeyWasMadeFor) {
  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  const auto signature = identity->sign(Bytes(48), {.digest = Digest::sha384});
  EXPECT_THAT(signature, fails_with(Errc::token_unsupported));
}

TEST_F(ATpm, KeepsAStrangeKeyAtTheStorageRootHandleAndSaysHowToGoOn) {
  provision("0x81000001", "userwithauth|sign", "-G ecc256:ecdsa");
  const std::string before = tpm2("tpm2_readpublic -c 0x81000001");
  const auto key = token_->create_key({});
  EXPECT_THAT(key, fails_with(Errc::token_wrong_key));
  EXPECT_THAT(key.error().reason, HasSubstr("signing key"));
  EXPECT_THAT(key.error().hint, HasSubstr("tpm2_evictcontrol"));
  EXPECT_EQ(tpm2("tpm2_readpublic -c 0x81000001"), before);
  tpm2("tpm2_evictcontrol -Q -C o -c 0x81000001");
  EXPECT_TRUE(created(*token_));
}

TEST_F(ATpm, UsesAnRsaStorageRootKeyThatSomebodyElseMade) {
  provision("0x81000001", "userwithauth|noda|restricted|decrypt", "-G rsa2048:aes128cfb");
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
}

TEST_F(ATpm, WithoutEllipticCurvesGetsAnRsaStorageRootKey) {
  tap_.answer(TpmCommand::create_primary, 0x2e6);  // TPM_RC_CURVE
  ASSERT_TRUE(created(*token_));
  EXPECT_THAT(tpm2("tpm2_readpublic -c 0x81000001"), HasSubstr("rsa"));
}

TEST_F(ATpm, WithAnOwnerPasswordSaysHowToMakeTheStorageRootKey) {
  tpm2("tpm2_changeauth -c o ownersecret");
  const auto key = token_->create_key({});
  EXPECT_THAT(key, fails_with(Errc::token_auth_failed));
  EXPECT_THAT(key.error().hint, HasSubstr("tpm2_createprimary"));
  EXPECT_EQ(transient(), 0U);
}

TEST_F(ATpm, NeverSignsWithAnotherKeyThatTookTheHandle) {
  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  expect_signs(*identity);
  tpm2("tpm2_evictcontrol -Q -C o -c 0x81020000");
  EXPECT_THAT(sign(*identity), fails_with(Errc::token_no_such_key));
  provision("0x81020000", "userwithauth|sign", "-G ecc256:ecdsa");
  tap_.reset();
  EXPECT_THAT(sign(*identity), fails_with(Errc::token_wrong_key));
  EXPECT_EQ(tap_.seen().count(TpmCommand::sign), 0U);
  const auto successor = idevid(*token_);
  ASSERT_TRUE(successor);
  expect_signs(*successor);
}

TEST_F(ATpm, NoticesAtTheSignatureThatAnotherKeyTookTheHandle) {
  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  expect_signs(*identity);
  tpm2("tpm2_evictcontrol -Q -C o -c 0x81020000");
  provision("0x81020000", "userwithauth|sign", "-G ecc256:ecdsa");
  EXPECT_THAT(sign(*identity), fails_with(Errc::token_wrong_key));
}

TEST_F(ATpm, NeverSignsWithAnotherKeyThatTookASlot) {
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  // Another program flushes ours and loads its own: it gets the same transient handle.
  tpm2(
      "tpm2_flushcontext -t && tpm2_createprimary -Q -C o -G ecc256:ecdsa "
      "-a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'");
  expect_signs(*key);
}

TEST_F(ATpm, ThatWasClearedMakesNewKeysButCannotUseOldOnes) {
  auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  tpm2("tpm2_clear -c p");
  const auto signature = sign(*key);
  EXPECT_THAT(signature, fails_with(Errc::token_wrong_key));
  EXPECT_THAT(signature.error().hint, HasSubstr("enroll again"));
  key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
}

TEST_F(ATpm, ReadsWhateverAnIndexHoldsAsItIs) {
  const std::string padded = "not a certificate\n" + std::string(2000, '\xff');
  write_index("0x01c90210", padded, "ownerwrite|ownerread");
  const auto content = token_->read_certificate("nv:0x01c90210");
  ASSERT_TRUE(content) << content.error().sentence();
  EXPECT_EQ(as_text(*content), padded);
  EXPECT_EQ(tap_.seen().count(TpmCommand::nv_read), 2U);
}

TEST_F(ATpm, ReadsAnIndexInSmallerPiecesWhenItMust) {
  write_index("0x01c90210", std::string(1500, 'x'), "ownerwrite|authread");
  tap_.answer(TpmCommand::nv_read, 0x1c4, 2);  // TPM_RC_VALUE: more than this TPM reads at once
  const auto content = token_->read_certificate("nv:0x01c90210");
  ASSERT_TRUE(content) << content.error().sentence();
  EXPECT_EQ(as_text(*content), std::string(1500, 'x'));
}

TEST_F(ATpm, GivesUpOnAnIndexThatCannotBeReadAtAnySize) {
  tap_.answer(TpmCommand::nv_read, 0x1c4, 1000);
  EXPECT_FALSE(token_->read_certificate(factory_.certificate_location));
  EXPECT_LT(tap_.seen().count(TpmCommand::nv_read), 10U);
}

TEST_F(ATpm, SaysWhyAnIndexCannotBeRead) {
  tpm2("tpm2_nvdefine -Q -C o 0x01c90211 -s 10 -a 'ownerwrite|ownerread'");
  EXPECT_THAT(token_->read_certificate("nv:0x01c90211"), fails_with(Errc::idevid_missing)) << "never written";
  tpm2("tpm2_nvdefine -Q -C o 0x01c90212 -s 10 -a 'ownerwrite|policyread'");
  EXPECT_THAT(token_->read_certificate("nv:0x01c90212"), fails_with(Errc::token_unsupported)) << "policy only";
}

struct Injected {
  const char* name;
  TpmCommand command;
  std::uint32_t response_code;
  unsigned times;
  Errc code;
  Retry retry;

  friend std::ostream& operator<<(std::ostream& out, const Injected& injected) { return out << injected.name; }
};

class ATpmThatAnswers : public DeviceTpm, public testing::WithParamInterface<Injected> {};

TEST_P(ATpmThatAnswers, IsAnErrorThatSaysSoAndLeavesNothingBehind) {
  const Injected& injected = GetParam();
  ASSERT_TRUE(created(*token_));
  token_ = new_token();
  tap_.answer(injected.command, injected.response_code, injected.times);
  Error error;
  {
    const auto key = token_->create_key({});
    if (key) {
      const auto signature = sign(**key);
      ASSERT_FALSE(signature);
      error = signature.error();
    } else {
      error = key.error();
    }
  }
  EXPECT_EQ(code_name(error.code), code_name(injected.code)) << error.sentence();
  EXPECT_EQ(retry_name(error.retry), retry_name(injected.retry));
  EXPECT_THAT(error.what, testing::StartsWith("cannot "));
  EXPECT_THAT(error.reason, Not(IsEmpty()));
  EXPECT_EQ(transient(), 0U);

  tap_.heal();
  auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  key.reset();
  token_.reset();
  EXPECT_EQ(sessions(), 0U);
}

INSTANTIATE_TEST_SUITE_P(
    ResponseCode, ATpmThatAnswers,
    testing::Values(
        Injected{"FailureMode", TpmCommand::create, 0x101, 1, Errc::token_failed, Retry::after_operator},
        Injected{"Lockout", TpmCommand::sign, 0x921, 1, Errc::token_locked_out, Retry::later},
        Injected{"AuthFailure", TpmCommand::sign, 0x98e, 1, Errc::token_auth_failed, Retry::after_operator},
        Injected{"BadAuth", TpmCommand::create, 0x9a2, 1, Errc::token_auth_failed, Retry::after_operator},
        Injected{"Integrity", TpmCommand::load, 0x1df, 1, Errc::token_wrong_key, Retry::after_operator},
        Injected{"NoSuchCurve", TpmCommand::create, 0x2e6, 1, Errc::token_unsupported, Retry::after_operator},
        Injected{"NoSuchSize", TpmCommand::create, 0x2c4, 1, Errc::token_unsupported, Retry::after_operator},
        Injected{"NoObjectSlot", TpmCommand::load, 0x902, 9, Errc::token_not_ready, Retry::later},
        Injected{"NoSessionSlot", TpmCommand::start_auth_session, 0x903, 9, Errc::token_not_ready, Retry::later},
        Injected{"NotStarted", TpmCommand::create, 0x100, 1, Errc::token_not_ready, Retry::later},
        Injected{"StaysBusy", TpmCommand::sign, 0x923, 1000, Errc::token_not_ready, Retry::later},
        Injected{"Unknown", TpmCommand::sign, 0x17f, 1, Errc::token_failed, Retry::later}),
    [](const auto& param) { return std::string(param.param.name); });

class ABusyTpm : public DeviceTpm, public testing::WithParamInterface<std::uint32_t> {};

TEST_P(ABusyTpm, IsAskedAgainAfterAWait) {
  tap_.answer(TpmCommand::create, GetParam(), 3);
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  tap_.answer(TpmCommand::sign, GetParam(), 3);
  expect_signs(*key);
}

INSTANTIATE_TEST_SUITE_P(ResponseCode, ABusyTpm,
                         testing::Values(0x904U, 0x908U, 0x909U, 0x90aU, 0x920U, 0x922U, 0x923U),
                         [](const auto& param) { return "Rc" + std::to_string(param.param); });

}  // namespace
}  // namespace devid::test
