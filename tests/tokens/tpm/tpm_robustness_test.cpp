// A TPM that is busy, slow to wake, or fails at any command, for a long time.

#include <malloc.h>

#include <array>
#include <filesystem>
#include <optional>

#include "tests/tokens/tpm/device_tpm.h"

namespace devid::test {
namespace {

using testing::HasSubstr;

/// Everything that a token is asked for, each with the commands of its own.
class EveryOperation : public DeviceTpm {
 protected:
  static Result<> sign_with(Result<std::unique_ptr<PrivateKey>> key) {
    if (!key) return fail(std::move(key.error()));
    const auto signature = sign(**key);
    if (!signature) return fail(signature.error());
    return {};
  }
  template <class T>
  static Result<> only_whether(const Result<T>& result) {
    if (!result) return fail(result.error());
    return {};
  }
  static KeySpec spec(KeyAuthorization authorization) {
    return {.algorithm = KeyAlgorithm::ec_p256, .label = {}, .authorization = std::move(authorization)};
  }
  static constexpr unsigned operations = 7;

  Result<> operation(unsigned which) {
    switch (which % operations) {
      case 0: return sign_with(token_->create_key({}));
      case 1: return sign_with(token_->open_key(pem_));
      case 2: return sign_with(token_->open_key_at(factory_.key_location));
      case 3: return sign_with(token_->create_key(spec(PcrPolicy{.registers = {16}})));
      case 4: return only_whether(token_->read_certificate(factory_.certificate_location));
      case 5: return only_whether(token_->list_keys());
      default: return only_whether(token_->inspect());
    }
  }
  void expect_all_work() {
    for (unsigned which = 0; which < operations; ++which) {
      const auto done = operation(which);
      EXPECT_TRUE(done) << "operation " << which << ": " << done.error().sentence();
    }
  }
  void SetUp() override { pem_ = created(*token_)->pem(); }
  [[nodiscard]] std::size_t persistent() const { return count_handles(swtpm_.tcti(), "persistent"); }

  std::string pem_;
};

class ABusyTpmAt : public EveryOperation, public testing::WithParamInterface<TpmCommand> {};

TEST_P(ABusyTpmAt, IsAskedAgainWhateverItAsksFor) {
  constexpr std::array codes{0x904U, 0x908U, 0x909U, 0x90aU, 0x920U, 0x922U, 0x923U};
  for (const std::uint32_t code : codes) {
    SCOPED_TRACE("code " + std::to_string(code));
    token_ = new_token();
    tpm2("tpm2_evictcontrol -Q -C o -c 0x81000001");
    tap_.reset();
    tap_.answer(GetParam(), code, 2);
    expect_all_work();
    EXPECT_GE(tap_.seen().count(GetParam()), 3U);
  }
}

INSTANTIATE_TEST_SUITE_P(Command, ABusyTpmAt,
                         testing::Values(TpmCommand::read_public, TpmCommand::start_auth_session, TpmCommand::create,
                                         TpmCommand::load, TpmCommand::sign, TpmCommand::flush_context,
                                         TpmCommand::nv_read_public, TpmCommand::nv_read, TpmCommand::create_primary,
                                         TpmCommand::evict_control, TpmCommand::pcr_read, TpmCommand::policy_pcr,
                                         TpmCommand::get_capability, TpmCommand::test_parms),
                         [](const auto& param) {
                           std::string name = command_name(param.param);
                           std::erase(name, '_');
                           return name;
                         });

std::size_t open_files() {
  const std::filesystem::directory_iterator files("/proc/self/fd");
  return static_cast<std::size_t>(std::distance(begin(files), end(files)));
}

class AThousandFailures : public EveryOperation, public testing::WithParamInterface<std::optional<std::uint32_t>> {
 protected:
  void SetUp() override {
    EveryOperation::SetUp();
    token_ = std::make_unique<TpmToken>(TpmSpec{.tcti = tap_.tcti(), .storage_root = GetParam()});
  }
  /// Fails one operation, each time another one, at another command, in another way. Returns whether it failed.
  bool fail_one(unsigned number) {
    constexpr std::array<std::uint32_t, 17> codes{0x101, 0x921, 0x98e, 0x9a2, 0x1df, 0x18b, 0x184, 0x910, 0x918,
                                                  0x902, 0x903, 0x100, 0x2e6, 0x128, 0x1c4, 0x17f, 0x14c};
    constexpr std::array<std::uint32_t, 7> about_something_else{0x101, 0x921, 0x1df, 0x902, 0x100, 0x1c4, 0x17f};
    const unsigned nth = number / operations % 9 + 1;
    tap_.heal();
    tap_.reset();
    if (number % 5 == 0) {
      tap_.set_gone(number % 2 == 0);
      tap_.cut_at(nth, number % 3 == 0 ? TpmTap::Cut::before_the_tpm_sees_it : TpmTap::Cut::after_the_tpm_did_it);
    } else {
      tap_.answer_nth(nth, codes.at(number % codes.size()));
      // Also while it finds out why. Twice in a row a TPM is not believed to lose a session that it has.
      tap_.answer_nth(nth + 1, about_something_else.at(number / 3 % about_something_else.size()));
    }
    return !operation(number);
  }
  /// Fails so many operations; bounded, because some recover by themselves.
  void fail_operations(unsigned failures) {
    for (unsigned tries = 0; failures > 0 && tries < 10'000; ++tries) failures -= fail_one(number_++) ? 1U : 0U;
    ASSERT_EQ(failures, 0U);
    tap_.heal();
    expect_all_work();
  }

  unsigned number_ = 0;
};

TEST_P(AThousandFailures, LeaveNothingInTheTpmAndNothingInTheProcess) {
  const std::size_t kept = persistent();
  fail_operations(100);
  const std::size_t files = open_files();
  const std::size_t memory = mallinfo2().uordblks;
  fail_operations(1000);
  EXPECT_EQ(transient(), 0U);
  EXPECT_LE(sessions(), 1U);
  EXPECT_EQ(persistent(), kept);
  EXPECT_LE(open_files(), files + 20U) << "connections of the tap are just ending, too";
  EXPECT_LT(mallinfo2().uordblks, memory + 262'144U);
  token_.reset();
  EXPECT_EQ(sessions(), 0U);
}

INSTANTIATE_TEST_SUITE_P(StorageRoot, AThousandFailures,
                         testing::Values(std::optional<std::uint32_t>(0x81000001), std::optional<std::uint32_t>()),
                         [](const auto& param) { return param.param ? "Persistent" : "Transient"; });

class ALockedOutTpm : public DeviceTpm {};

TEST_F(ALockedOutTpm, IsNotAskedAgain) {
  const auto identity = idevid(*token_);
  ASSERT_TRUE(identity);
  expect_signs(*identity);
  tap_.reset();
  tap_.answer(TpmCommand::sign, 0x921, 1);
  const auto signature = sign(*identity);
  EXPECT_THAT(signature, fails_with(Errc::token_locked_out));
  EXPECT_EQ(signature.error().retry, Retry::later);
  EXPECT_EQ(tap_.seen().commands.size(), 1U) << tap_.seen().summary();
}

TEST(ASuspendedTpm, ServesTheSameKeysAfterItWokeUp) {
  Swtpm swtpm(Swtpm::Startup::missing);
  run_tpm2(swtpm.tcti(), "tpm2_startup -c");
  TpmToken token({.tcti = swtpm.tcti()});
  const auto key = token.create_key({});
  ASSERT_TRUE(key) << key.error().sentence();
  const Bytes digest(32, std::byte{1});
  for (const char* wake_up : {"tpm2_startup", "tpm2_startup -c"}) {
    ASSERT_TRUE((*key)->sign(digest, {}));
    run_tpm2(swtpm.tcti(), "tpm2_shutdown");
    swtpm.restart();
    EXPECT_THAT((*key)->sign(digest, {}), fails_with(Errc::token_not_ready));
    run_tpm2(swtpm.tcti(), wake_up);
    const auto signature = (*key)->sign(digest, {});
    ASSERT_TRUE(signature) << wake_up << ": " << signature.error().sentence();
    EXPECT_TRUE(verify((*key)->public_key(), digest, {}, *signature));
  }
  EXPECT_TRUE(token.create_key({}));
}

}  // namespace
}  // namespace devid::test
