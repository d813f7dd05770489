// What a TPM is found to be and to lack.

#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class ATpmReport : public DeviceTpm {
 protected:
  TokenReport report() const {
    auto report = token_->inspect();
    EXPECT_TRUE(report) << report.error().sentence();
    return report ? *report : TokenReport{};
  }
};

TEST_F(ATpmReport, NamesMakerModelFirmwareKeysAndRoom) {
  const auto seen = report();
  EXPECT_EQ(seen.manufacturer, "IBM");
  EXPECT_EQ(seen.model, "SW TPM");
  EXPECT_THAT(seen.firmware, testing::MatchesRegex("[0-9]+[.][0-9]+[.][0-9]+[.][0-9]+"));
  EXPECT_THAT(seen.algorithms, ElementsAre(KeyAlgorithm::ec_p256, KeyAlgorithm::ec_p384, KeyAlgorithm::ec_p521,
                                           KeyAlgorithm::rsa_2048, KeyAlgorithm::rsa_3072));
  ASSERT_TRUE(seen.free_key_slots);
  EXPECT_GT(*seen.free_key_slots, 0U);
  EXPECT_THAT(seen.remarks, IsEmpty());
}

TEST_F(ATpmReport, ChangesNothingAndLeavesNothing) {
  const std::string before =
      tpm2("tpm2_getcap handles-persistent; tpm2_getcap handles-nv-index; tpm2_getcap properties-variable");
  report();
  EXPECT_EQ(tpm2("tpm2_getcap handles-persistent; tpm2_getcap handles-nv-index; tpm2_getcap properties-variable"),
            before);
  EXPECT_EQ(transient() + sessions(), 0U);
  EXPECT_LE(tap_.seen().commands.size(), 11U) << tap_.seen().summary();
}

TEST_F(ATpmReport, TellsOfLockoutPasswordsAndWrongTries) {
  tpm2("tpm2_changeauth -c o ownersecret; tpm2_changeauth -c e endorsementsecret");
  EXPECT_THAT(report().remarks, ElementsAre(HasSubstr("owner_auth"), HasSubstr("endorsement_auth")));
  const std::string guess =
      "tpm2_createprimary -Q -C n -G ecc256:ecdsa -p secret -a "
      "'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign' -c " +
      (directory_.path() / "guess.ctx").string() + " && (tpm2_sign -Q -c " +
      (directory_.path() / "guess.ctx").string() +
      " -p wrong -o /dev/null /etc/hostname 2>/dev/null || true); tpm2_flushcontext -t";
  tpm2("tpm2_dictionarylockout -s -n 2 -t 3600 -l 3600; " + guess);
  EXPECT_THAT(report().remarks,
              Contains(HasSubstr("1 wrong auth values were tried, one is forgotten every 3600 s; 1 more")));
  tpm2(guess);
  EXPECT_THAT(report().remarks, Contains(HasSubstr("in lockout: 2 wrong")));
}

TEST_F(ATpmReport, TellsOfADisabledHierarchy) {
  tpm2("tpm2_hierarchycontrol -C p shEnable clear");
  EXPECT_THAT(report().remarks, Contains(HasSubstr("owner hierarchy is disabled")));
}

TEST(AnUnstartedTpmsReport, SaysThat) {
  const Swtpm swtpm(Swtpm::Startup::missing);
  TpmToken token({.tcti = swtpm.tcti()});
  const auto seen = token.inspect();
  ASSERT_TRUE(seen) << seen.error().sentence();
  EXPECT_THAT(seen->remarks, ElementsAre(HasSubstr("TPM2_Startup")));
  EXPECT_THAT(seen->algorithms, IsEmpty());
  EXPECT_FALSE(TpmToken({.tcti = "swtpm:host=127.0.0.1,port=1"}).inspect());
}

using ATpmThatLacksAnAlgorithm = DeviceTpm;

TEST_F(ATpmThatLacksAnAlgorithm, NamesThoseThatItHas) {
  ASSERT_TRUE(created(*token_));
  const auto key = token_->create_key({.algorithm = KeyAlgorithm::rsa_4096});
  EXPECT_THAT(key, fails_with(Errc::token_unsupported));
  EXPECT_EQ(key.error().retry, Retry::after_operator);
  EXPECT_THAT(key.error().hint, HasSubstr("ec-p256, ec-p384, ec-p521, rsa-2048, rsa-3072"));
  EXPECT_THAT(key.error().hint, Not(HasSubstr("rsa-4096")));
}

TEST_F(ATpmThatLacksAnAlgorithm, IsAskedForThatOnlyAfterAFailure) {
  ASSERT_TRUE(created(*token_));
  EXPECT_EQ(tap_.seen().count(TpmCommand::get_capability), 0U);
  EXPECT_EQ(tap_.seen().count(TpmCommand::test_parms), 0U);
  tap_.answer(TpmCommand::create, 0x2e6);         // TPM_RC_CURVE
  tap_.answer(TpmCommand::test_parms, 0x2c4, 5);  // all but the last
  const auto key = token_->create_key({.algorithm = KeyAlgorithm::ec_p521});
  EXPECT_THAT(key, fails_with(Errc::token_unsupported));
}

}  // namespace
}  // namespace devid::test
