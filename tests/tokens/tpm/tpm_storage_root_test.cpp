// Where devid's keys belong in the TPM, and who has to be asked for it.

#include <optional>
#include <vector>

#include "base/file.h"
#include "tests/tokens/tpm/device_tpm.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class AStorageRoot : public DeviceTpm {
 protected:
  [[nodiscard]] std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  SecretFile secret(const std::string& name, const std::string& value) const {
    EXPECT_TRUE(write_file_atomically(directory_.path() / name, value, 0600));
    return {.path = directory_.path() / name};
  }
  std::unique_ptr<TpmToken> token(TpmSpec spec) const {
    spec.tcti = tap_.tcti();
    return std::make_unique<TpmToken>(std::move(spec));
  }
  [[nodiscard]] std::size_t persistent() const { return count_handles(swtpm_.tcti(), "persistent"); }
  /// Whether a text crossed the bus.
  [[nodiscard]] bool was_on_the_bus(const std::string& text) const {
    for (const auto& frame : tap_.seen().frames) {
      if (std::string(frame.begin(), frame.end()).find(text) != std::string::npos) return true;
    }
    return false;
  }
};

TEST_F(AStorageRoot, MayHaveAnotherHandleAndOlderKeysStillOpen) {
  const std::string old_pem = created(*token_)->pem();
  const auto moved = token({.storage_root = 0x81000777});
  const auto key = created(*moved);
  ASSERT_TRUE(key);
  EXPECT_EQ(tpm::read_tss2_pem(key->pem()).value().parent, 0x81000777U);
  EXPECT_THAT(tpm2("tpm2_getcap handles-persistent"), HasSubstr("0x81000777"));
  const auto old = moved->open_key(old_pem);
  ASSERT_TRUE(old);
  expect_signs(*key);
  expect_signs(**old);
  expect_signs(*key);
  const auto back = token_->open_key(key->pem());
  ASSERT_TRUE(back);
  expect_signs(**back);
}

TEST_F(AStorageRoot, ThatIsGoneIsMadeAgainOnlyWhereItIsConfigured) {
  const std::string old_pem = created(*token_)->pem();
  tpm2("tpm2_evictcontrol -Q -C o -c 0x81000001");
  const std::size_t before = persistent();
  const auto elsewhere = token({.storage_root = std::nullopt});
  const auto old = elsewhere->open_key(old_pem);
  ASSERT_TRUE(old);
  const auto signature = sign(**old);
  EXPECT_THAT(signature, fails_with(Errc::token_no_such_key));
  EXPECT_THAT(signature.error().hint, HasSubstr("0x81000001"));
  EXPECT_EQ(persistent(), before);
  const auto again = token_->open_key(old_pem);
  ASSERT_TRUE(again);
  expect_signs(**again);
}

class ATransientStorageRoot : public AStorageRoot {
 protected:
  std::unique_ptr<TpmToken> transient_token(TpmSpec spec = {}) const {
    spec.storage_root.reset();
    return token(std::move(spec));
  }
};

TEST_F(ATransientStorageRoot, LeavesNothingInTheTpmForGood) {
  const std::size_t before = persistent();
  {
    const auto token = transient_token();
    const auto identity = idevid(*token);
    ASSERT_TRUE(identity);
    expect_signs(*identity);
    const auto key = created(*token);
    const auto other = created(*token);
    ASSERT_TRUE(key && other);
    expect_signs(*key);
    expect_signs(*other);
    expect_signs(*identity);
    const auto seen = tap_.seen();
    EXPECT_EQ(seen.count(TpmCommand::create_primary), 1U) << seen.summary();
    EXPECT_EQ(seen.count(TpmCommand::evict_control), 0U);
    EXPECT_EQ(seen.most_transient, 2U);
    EXPECT_EQ(seen.most_before_create_or_load, 1U);
  }
  EXPECT_EQ(transient() + sessions(), 0U);
  EXPECT_EQ(persistent(), before);
}

TEST_F(ATransientStorageRoot, CostsOneCommandMore) {
  ASSERT_TRUE(created(*token_));
  std::vector<std::size_t> commands;
  for (const auto& storage_root : {std::optional<std::uint32_t>(0x81000001), std::optional<std::uint32_t>()}) {
    const auto token = this->token({.storage_root = storage_root});
    tap_.reset();
    expect_signs(*created(*token));
    commands.push_back(tap_.seen().commands.size() - tap_.seen().retried);
  }
  EXPECT_EQ(commands.at(1), commands.at(0) + 1) << tap_.seen().summary();
}

TEST_F(ATransientStorageRoot, GoesWithTheLastKey) {
  const auto token = transient_token();
  auto key = created(*token);
  ASSERT_TRUE(key);
  EXPECT_EQ(transient(), 1U);
  expect_signs(*key);
  EXPECT_EQ(transient(), 2U);
  const std::string pem = key->pem();
  key.reset();
  EXPECT_EQ(transient(), 0U);
  const auto again = token->open_key(pem);
  ASSERT_TRUE(again);
  expect_signs(**again);
  tap_.answer(TpmCommand::create, 0x101);
  EXPECT_FALSE(token->create_key({}));
}

TEST_F(ATransientStorageRoot, IsTheSameAfterARestartAndForTpm2Openssl) {
  std::string pem;
  {
    const auto token = transient_token();
    const auto key = created(*token);
    ASSERT_TRUE(key);
    pem = key->pem();
    EXPECT_EQ(tpm::read_tss2_pem(pem).value().parent, 0x40000001U);
    ASSERT_TRUE(write_file_atomically(path("public.der"), as_text(key->public_key().spki), 0644));
  }
  swtpm_.restart();
  tap_.forget_loaded();
  ASSERT_TRUE(write_file_atomically(path("key.pem"), pem, 0600));
  ASSERT_TRUE(write_file_atomically(path("message"), "text", 0644));
  tpm2("cd " + directory_.path().string() +
       " && openssl pkeyutl -provider tpm2 -provider default -propquery '?provider=tpm2' -sign -rawin -digest sha256 "
       "-inkey key.pem -in message -out signature && openssl dgst -sha256 -verify public.der -keyform DER -signature "
       "signature message");
  const auto key = token_->open_key(pem);  // also where a persistent one is configured
  ASSERT_TRUE(key);
  expect_signs(**key);
}

TEST_F(ATransientStorageRoot, ComesBackWhenSomebodyFlushedItOrTheTpmWasReset) {
  const auto token = transient_token();
  const auto key = created(*token);
  ASSERT_TRUE(key);
  expect_signs(*key);
  tpm2("tpm2_flushcontext -t");
  expect_signs(*key);
  ASSERT_TRUE(created(*token));
  tpm2("tpm2_flushcontext -t && tpm2_flushcontext -l");
  ASSERT_TRUE(created(*token));
  expect_signs(*key);
  tpm2("tpm2_flushcontext -l");
  ASSERT_TRUE(created(*token));
  expect_signs(*key);
  // Another program's object gets the handle of ours.
  tpm2("tpm2_flushcontext -t && tpm2_createprimary -Q -C n -G rsa2048");
  ASSERT_TRUE(created(*token));
  swtpm_.restart();
  tap_.forget_loaded();
  ASSERT_TRUE(created(*token));
  expect_signs(*key);
  EXPECT_EQ(transient(), 2U);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(ATransientStorageRoot, SignsBoundKeys) {
  const auto token = transient_token();
  const auto key = token->create_key(
      {.algorithm = KeyAlgorithm::ec_p256, .label = {}, .authorization = PcrPolicy{.registers = {16}}});
  ASSERT_TRUE(key) << key.error().sentence();
  expect_signs(**key);
  tpm2("tpm2_flushcontext -t");
  expect_signs(**key);
}

class AnOwnedTpm : public AStorageRoot {
 protected:
  void SetUp() override { tpm2("tpm2_changeauth -Q -c o ownersecret"); }
};

TEST_F(AnOwnedTpm, GetsAStorageRootKeyWithTheOwnersPasswordWhichIsNeverOnTheBus) {
  const auto token = this->token({.owner_auth = secret("owner", "ownersecret\n")});
  tap_.reset();
  const auto key = created(*token);
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_FALSE(was_on_the_bus("ownersecret"));
  EXPECT_LE(tap_.seen().most_transient, 2U);
  EXPECT_THAT(tpm2("tpm2_getcap handles-persistent"), HasSubstr("0x81000001"));
  EXPECT_EQ(transient(), 1U);
  // It is that of the TCG's template.
  const std::string made =
      tpm2("tpm2_readpublic -Q -c 0x81000001 -n " + path("name") + " && xxd -p -c99 " + path("name"));
  tpm2("tpm2_evictcontrol -Q -C o -P ownersecret -c 0x81000001 && tpm2_changeauth -Q -c o -p ownersecret");
  ASSERT_TRUE(created(*token_));
  EXPECT_EQ(tpm2("tpm2_readpublic -Q -c 0x81000001 -n " + path("name") + " && xxd -p -c99 " + path("name")), made);
}

TEST_F(AnOwnedTpm, IsNotAskedAgainOnceTheStorageRootKeyIsThere) {
  ASSERT_TRUE(created(*token({.owner_auth = secret("owner", "ownersecret")})));
  const auto key = created(*token_);
  ASSERT_TRUE(key);
  expect_signs(*key);
}

TEST_F(AnOwnedTpm, RefusesAWrongPasswordAndSaysWhereToWriteIt) {
  for (const auto& storage_root : {std::optional<std::uint32_t>(0x81000001), std::optional<std::uint32_t>()}) {
    const auto token = this->token({.storage_root = storage_root, .owner_auth = secret("owner", "wrong")});
    const auto key = token->create_key({});
    EXPECT_THAT(key, fails_with(Errc::token_auth_failed));
    EXPECT_EQ(key.error().retry, Retry::after_operator);
    EXPECT_THAT(key.error().hint, HasSubstr("owner_auth"));
    EXPECT_EQ(transient(), 0U);
    secret("owner", "ownersecret");
    EXPECT_TRUE(created(*token));
  }
  EXPECT_EQ(sessions(), 0U);
}

TEST_F(AnOwnedTpm, MakesATransientRootWithItsPassword) {
  const auto token = this->token({.storage_root = std::nullopt, .owner_auth = secret("owner", "ownersecret")});
  const auto key = created(*token);
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_FALSE(was_on_the_bus("ownersecret"));
  tpm2("tpm2_flushcontext -t && tpm2_flushcontext -l");
  expect_signs(*key);
  ASSERT_TRUE(created(*token));
  swtpm_.restart();
  tap_.forget_loaded();
  expect_signs(*key);
  EXPECT_LE(tap_.seen().most_transient, 2U);
}

class AStorageRootWithAPassword : public AStorageRoot {};

TEST_F(AStorageRootWithAPassword, IsUsedWithItAndMadeWithIt) {
  const auto token = this->token({.storage_root_auth = secret("srk", "srksecret")});
  const auto key = created(*token);
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_FALSE(was_on_the_bus("srksecret"));
  const auto restarted = this->token({.storage_root_auth = secret("srk", "srksecret")});
  const auto again = restarted->open_key(key->pem());
  ASSERT_TRUE(again);
  expect_signs(**again);
  const auto unknown = token_->create_key({});
  EXPECT_THAT(unknown, fails_with(Errc::token_auth_failed));
  EXPECT_THAT(unknown.error().hint, HasSubstr("srk_auth"));
}

TEST_F(AStorageRootWithAPassword, ThatChangedIsReadAgain) {
  const auto token = this->token({.storage_root_auth = secret("srk", "srksecret")});
  ASSERT_TRUE(created(*token));
  const auto wrong = this->token({.storage_root_auth = secret("srk", "wrong")});
  EXPECT_THAT(wrong->create_key({}), fails_with(Errc::token_auth_failed));
  secret("srk", "srksecret");
  EXPECT_TRUE(created(*wrong));
}

}  // namespace
}  // namespace devid::test
