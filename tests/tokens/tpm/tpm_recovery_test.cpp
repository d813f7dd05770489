// The TPM goes away, comes back, is reset, or is full of what a crashed process left behind.

#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

class ATpmThatComesBack : public DeviceTpm {};

TEST_F(ATpmThatComesBack, AfterARebootServesTheSameKeyObjects) {
  const auto key = created(*token_);
  const auto identity = idevid(*token_);
  ASSERT_TRUE(key && identity);
  for (int reboot = 0; reboot < 3; ++reboot) {
    expect_signs(*key);
    expect_signs(*identity);
    swtpm_.restart();
    tap_.forget_loaded();
  }
  const auto other = created(*token_);
  ASSERT_TRUE(other);
  expect_signs(*other);
  expect_signs(*key);
  EXPECT_EQ(transient(), 1U);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(ATpmThatComesBack, IsUnreachableMeanwhile) {
  token_ = token_at(swtpm_.tcti());  // past the tap, so that nobody listens
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  swtpm_.stop();
  EXPECT_THAT(sign(*key), fails_with(Errc::token_unreachable));
  EXPECT_THAT(token_->create_key({}), fails_with(Errc::token_unreachable));
  EXPECT_THAT(token_->list_keys(), fails_with(Errc::token_unreachable));
  swtpm_.start();
  expect_signs(*key);
  EXPECT_TRUE(token_->list_keys());
}

TEST_F(ATpmThatComesBack, ServesAFailedOperationAgainWhenOnlyTheOldConnectionWasBroken) {
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  tap_.cut_at(1, TpmTap::Cut::before_the_tpm_sees_it);
  expect_signs(*key);
}

TEST_F(ATpmThatComesBack, AfterItsSessionsWereFlushedByAnotherProgram) {
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  tpm2("tpm2_flushcontext -l");
  expect_signs(*key);
  tpm2("tpm2_flushcontext -t && tpm2_flushcontext -l");
  expect_signs(*key);
  EXPECT_EQ(sessions(), 1U);
  EXPECT_EQ(transient(), 1U);
}

TEST_F(ATpmThatComesBack, AfterAnotherProgramsSessionTookTheHandleOfOurs) {
  const auto key = created(*token_);
  const auto identity = idevid(*token_);
  ASSERT_TRUE(key && identity);
  expect_signs(*key);
  for (PrivateKey* one : {key.get(), identity.get()}) {
    tpm2("tpm2_flushcontext -l");
    TpmTap other(swtpm_);
    const auto foreign = token_at(other.tcti());
    ASSERT_TRUE(created(*foreign));
    ASSERT_EQ(sessions(), 1U);
    expect_signs(*one);
    EXPECT_EQ(sessions(), 2U);
  }
}

/// The connection breaks at the nth command of a whole run, before or after the TPM did it.
class AVanishingTpm : public DeviceTpm, public testing::WithParamInterface<TpmTap::Cut> {
 protected:
  /// Makes a key and signs with it, the IDevID, and the key's file.
  static Result<> work(Token& token, const std::string& idevid_location) {
    const auto identity = token.open_key_at(idevid_location);
    if (!identity) return fail(identity.error());
    const auto key = token.create_key({});
    if (!key) return fail(key.error());
    for (PrivateKey* one : {key->get(), identity->get()}) {
      if (const auto signature = sign(*one); !signature) return fail(signature.error());
    }
    return {};
  }
};

TEST_P(AVanishingTpm, AtEachCommandIsUnreachableAndWorksAgainWithNothingLeftBehind) {
  tap_.reset();
  ASSERT_TRUE(work(*token_, factory_.key_location));  // with the making of the storage root key
  const std::size_t commands = tap_.seen().commands.size();
  ASSERT_GT(commands, 8U);
  for (unsigned nth = 1; nth <= commands; ++nth) {
    SCOPED_TRACE("cut at command " + std::to_string(nth));
    token_ = new_token();
    tpm2("tpm2_evictcontrol -Q -C o -c 0x81000001");
    tap_.reset();
    tap_.cut_at(nth, GetParam());
    const auto worked = work(*token_, factory_.key_location);
    if (!worked) {
      EXPECT_THAT(worked, fails_with(Errc::token_unreachable));
    }
    const auto again = work(*token_, factory_.key_location);
    ASSERT_TRUE(again) << again.error().sentence();
    EXPECT_LE(tap_.seen().most_transient, 2U);
    EXPECT_EQ(transient(), 0U);
    EXPECT_EQ(sessions(), 1U);
    token_.reset();
    EXPECT_EQ(sessions(), 0U);
  }
}

INSTANTIATE_TEST_SUITE_P(Cut, AVanishingTpm,
                         testing::Values(TpmTap::Cut::before_the_tpm_sees_it, TpmTap::Cut::after_the_tpm_did_it),
                         [](const auto& param) {
                           return param.param == TpmTap::Cut::before_the_tpm_sees_it ? "BeforeTheTpmSeesIt"
                                                                                     : "AfterTheTpmDidIt";
                         });

class AFullTpm : public DeviceTpm {};

TEST_F(AFullTpm, GetsRidOfWhatACrashedProcessLeftBehind) {
  tpm2("for n in 1 2 3; do tpm2_createprimary -Q -C o; done");
  ASSERT_EQ(transient(), 3U);
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_EQ(transient(), 1U);
  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  expect_signs(*identity);
  expect_signs(*key);
}

TEST_F(AFullTpm, GetsRidOfForeignSessions) {
  for (int n = 0; n < 3; ++n) {
    // A process that dies with a session: the TPM keeps it.
    TpmTap tap(swtpm_);
    const auto token = token_at(tap.tcti());
    ASSERT_TRUE(created(*token));
    tap.set_gone(true);
  }
  ASSERT_EQ(sessions(), 3U);
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(AFullTpm, GetsRidOfForeignPolicySessions) {
  for (int n = 0; n < 3; ++n) {
    // A process that dies before it signs in its policy session: the TPM keeps that.
    TpmTap tap(swtpm_);
    const auto token = token_at(tap.tcti());
    const auto key = token->create_key(
        {.algorithm = KeyAlgorithm::ec_p256, .label = {}, .authorization = PcrPolicy{.registers = {16}}});
    ASSERT_TRUE(key) << key.error().sentence();
    tap.answer(TpmCommand::flush_context, 0x101, 1000);
    tap.answer(TpmCommand::sign, 0x101);
    EXPECT_FALSE(sign(**key));
    tap.set_gone(true);
  }
  ASSERT_EQ(sessions(), 3U);
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(AFullTpm, KeepsItsOwnKeyWhileItMakesRoom) {
  const auto key = created(*token_);
  const auto identity = idevid(*token_);
  ASSERT_TRUE(key && identity);
  expect_signs(*key);
  tpm2("tpm2_createprimary -Q -C o; tpm2_createprimary -Q -C o");
  ASSERT_EQ(transient(), 3U);
  expect_signs(*identity);  // needs a slot for a moment
  EXPECT_EQ(transient(), 1U);
  tap_.reset();
  expect_signs(*key);
  EXPECT_EQ(tap_.seen().count(TpmCommand::load), 0U);
}

}  // namespace
}  // namespace devid::test
