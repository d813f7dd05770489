// Keys that want something before they sign: an auth value, or what the PCRs held when they were made.

#include <sys/stat.h>

#include <fstream>
#include <optional>

#include "base/file.h"
#include "tests/tokens/tpm/device_tpm.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class AnAuthorizedKey : public DeviceTpm {
 protected:
  void SetUp() override { ASSERT_TRUE(created(*token_)); }  // the storage root key is there

  [[nodiscard]] std::string path(const std::string& name) const { return (directory_.path() / name).string(); }
  [[nodiscard]] SecretFile secret_file() const { return {.path = directory_.path() / "key-auth"}; }
  void write_secret(const std::string& value) const {
    ASSERT_TRUE(write_file_atomically(secret_file().path, value, 0600));
  }
  [[nodiscard]] std::string secret() const { return read_file(secret_file().path, 1024).value(); }

  std::unique_ptr<TpmToken> token_with_auth() const {
    return std::make_unique<TpmToken>(TpmSpec{.tcti = tap_.tcti(), .key_auth = secret_file()});
  }
  static std::unique_ptr<PrivateKey> made(Token& token, const KeyAuthorization& authorization,
                                          KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    auto key = token.create_key({.algorithm = algorithm, .label = {}, .authorization = authorization});
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }
  [[nodiscard]] std::string lockout_counter() const {
    return tpm2("tpm2_getcap properties-variable | grep LOCKOUT_COUNTER");
  }
  /// Signs with tpm2-openssl and a password. Throws if that fails.
  [[nodiscard]] std::string sign_with_openssl(const std::string& password) const {
    return tpm2(
        "openssl pkeyutl -provider tpm2 -provider default -propquery '?provider=tpm2' -sign -rawin -digest "
        "sha256 -passin pass:" +
        password + " -inkey " + path("key.pem") + " -in " + path("message") + " -out " + path("signature") +
        " && openssl dgst -sha256 -verify " + path("public.der") + " -keyform DER -signature " + path("signature") +
        " " + path("message"));
  }
  void keep_for_openssl(const PrivateKey& key) const {
    ASSERT_TRUE(write_file_atomically(path("key.pem"), key.pem(), 0600));
    ASSERT_TRUE(write_file_atomically(path("message"), "signed by a tool that is not ours", 0644));
    ASSERT_TRUE(write_file_atomically(path("public.der"), as_text(key.public_key().spki), 0644));
  }
};

using AKeyWithAnAuthValue = AnAuthorizedKey;

TEST_F(AKeyWithAnAuthValue, GetsAFileOf128RandomBitsWhenThereIsNone) {
  const auto token = token_with_auth();
  const auto key = made(*token, AuthValue{});
  ASSERT_TRUE(key);
  expect_signs(*key);
  EXPECT_THAT(secret(), testing::MatchesRegex("[0-9a-f]{32}"));
  struct stat about = {};
  ASSERT_EQ(::stat(secret_file().path.c_str(), &about), 0);
  EXPECT_EQ(about.st_mode & 0777U, 0600U);
  const std::string first = secret();
  ASSERT_TRUE(made(*token, AuthValue{}));
  EXPECT_EQ(secret(), first);
}

TEST_F(AKeyWithAnAuthValue, SignsAfterARestartAndForTpm2OpensslWithThatValue) {
  write_secret("correct horse\n");
  std::string pem;
  {
    const auto token = token_with_auth();
    const auto key = made(*token, AuthValue{});
    ASSERT_TRUE(key);
    pem = key->pem();
    keep_for_openssl(*key);
  }
  EXPECT_TRUE(tpm::read_tss2_pem(pem).value().has_auth_value);
  const auto token = token_with_auth();
  const auto key = token->open_key(pem);
  ASSERT_TRUE(key) << key.error().sentence();
  expect_signs(**key);
  EXPECT_THAT(sign_with_openssl("'correct horse'"), HasSubstr("Verified OK"));
  EXPECT_THROW((void)sign_with_openssl("wrong"), std::runtime_error);
}

TEST_F(AKeyWithAnAuthValue, SendsNothingOfItInClear) {
  write_secret("0123456789abcdef0123456789abcdef");
  const auto token = token_with_auth();
  const auto key = made(*token, AuthValue{});
  ASSERT_TRUE(key);
  expect_signs(*key);
  const std::string value = "0123456789abcdef";
  for (const auto& frame : tap_.seen().frames) {
    EXPECT_THAT(std::string(frame.begin(), frame.end()), Not(HasSubstr(value)));
  }
}

TEST_F(AKeyWithAnAuthValue, CostsNotOneTpmCommandMore) {
  const auto plain = made(*token_, NoAuthorization{});
  ASSERT_TRUE(plain);
  tap_.reset();
  expect_signs(*made(*token_, NoAuthorization{}));
  const auto without = tap_.seen();
  const auto token = token_with_auth();
  expect_signs(*made(*token, AuthValue{}));
  tap_.reset();
  expect_signs(*made(*token, AuthValue{}));
  EXPECT_EQ(tap_.seen().commands.size() - tap_.seen().retried, without.commands.size() - without.retried);
}

TEST_F(AKeyWithAnAuthValue, TriesAWrongGuessableValueOnceAndNotAgainUntilItChanges) {
  write_secret("hunter2");
  const auto token = token_with_auth();
  const auto key = made(*token, AuthValue{});
  ASSERT_TRUE(key);
  write_secret("hunter3");
  const auto first = sign(*key);
  EXPECT_THAT(first, fails_with(Errc::token_auth_failed));
  EXPECT_EQ(first.error().retry, Retry::after_operator);
  EXPECT_THAT(first.error().what, HasSubstr(secret_file().path.string()));
  EXPECT_THAT(first.error().hint, Not(HasSubstr("hunter")));
  EXPECT_THAT(lockout_counter(), HasSubstr("0x1"));
  for (int again = 0; again < 10; ++again) {
    EXPECT_THAT(sign(*key), fails_with(Errc::token_auth_failed));
    EXPECT_THAT(sign(**token->open_key(key->pem())), fails_with(Errc::token_auth_failed));
  }
  EXPECT_THAT(lockout_counter(), HasSubstr("0x1"));
  write_secret("hunter2");
  expect_signs(*key);
}

TEST_F(AKeyWithAnAuthValue, OfFullEntropyStaysOutOfTheLockout) {
  const auto token = token_with_auth();
  const auto key = made(*token, AuthValue{});
  ASSERT_TRUE(key);
  const std::string right = secret();
  write_secret(std::string(32, 'f'));
  EXPECT_THAT(sign(*key), fails_with(Errc::token_auth_failed));
  EXPECT_THAT(sign(*key), fails_with(Errc::token_auth_failed));
  EXPECT_THAT(lockout_counter(), HasSubstr("0x0"));
  write_secret(right);
  expect_signs(*key);
}

TEST_F(AKeyWithAnAuthValue, SaysWhereToNameTheValueWhenNoneIsConfiguredOrItIsGone) {
  EXPECT_THAT(token_->create_key({.algorithm = KeyAlgorithm::ec_p256, .label = {}, .authorization = AuthValue{}}),
              fails_with(Errc::config_invalid));
  const auto token = token_with_auth();
  const auto key = made(*token, AuthValue{});
  ASSERT_TRUE(key);
  const auto here = token_->open_key(key->pem());
  ASSERT_TRUE(here);
  const auto signature = sign(**here);
  EXPECT_THAT(signature, fails_with(Errc::token_auth_failed));
  EXPECT_THAT(signature.error().hint, HasSubstr("key_auth"));
  std::filesystem::remove(secret_file().path);
  EXPECT_THAT(sign(*key), fails_with(Errc::config_missing));
  EXPECT_FALSE(std::filesystem::exists(secret_file().path)) << "a new value is of no use to this key";
}

TEST_F(AKeyWithAnAuthValue, MayHaveNoLongerValueThanTheDigestOfItsName) {
  write_secret(std::string(33, 'x'));
  const auto token = token_with_auth();
  const auto key = token->create_key({.algorithm = KeyAlgorithm::ec_p256, .label = {}, .authorization = AuthValue{}});
  EXPECT_THAT(key, fails_with(Errc::config_invalid));
  EXPECT_THAT(key.error().what, HasSubstr("at most 32"));
  const auto longer = made(*token, AuthValue{}, KeyAlgorithm::ec_p384);
  ASSERT_TRUE(longer);
  EXPECT_TRUE(longer->sign(Bytes(48, std::byte{1}), {.digest = Digest::sha384}));
}

class AKeyBoundToPcrs : public AnAuthorizedKey {
 protected:
  static inline const PcrPolicy policy{.bank = Digest::sha256, .registers = {16, 23}};
  void extend(const std::string& pcr) const { tpm2("tpm2_pcrextend " + pcr + ":sha256=" + std::string(64, '5')); }
};

TEST_F(AKeyBoundToPcrs, SignsUntilTheyChangeAndAgainWhenTheyAreBack) {
  extend("16");
  tpm2("tpm2_pcrreset 16");
  const auto key = made(*token_, policy);
  ASSERT_TRUE(key);
  expect_signs(*key);
  extend("16");
  const auto signature = sign(*key);
  EXPECT_THAT(signature, fails_with(Errc::token_auth_failed));
  EXPECT_EQ(signature.error().retry, Retry::after_operator);
  EXPECT_THAT(signature.error().what, HasSubstr("PCR sha256:16,23"));
  EXPECT_THAT(signature.error().hint, HasSubstr("enroll again"));
  tpm2("tpm2_pcrreset 16");
  expect_signs(*key);
  extend("7");
  expect_signs(*key);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(AKeyBoundToPcrs, NeedsNothingButItsFileAfterARestart) {
  const std::string pem = made(*token_, policy)->pem();
  token_ = new_token();
  const auto key = token_->open_key(pem);
  ASSERT_TRUE(key) << key.error().sentence();
  tap_.reset();
  expect_signs(**key);
  EXPECT_EQ(tap_.seen().commands.size() - tap_.seen().retried, 6U) << tap_.seen().summary();
  tap_.reset();
  expect_signs(**key);
  EXPECT_EQ(tap_.seen().commands.size(), 3U) << tap_.seen().summary();
}

TEST_F(AKeyBoundToPcrs, HasThePolicyThatTpm2ToolsCompute) {
  const auto key = made(*token_, policy);
  ASSERT_TRUE(key);
  const auto blob = tpm::read_tss2_pem(key->pem());
  ASSERT_TRUE(blob && blob->pcr_policy);
  ASSERT_TRUE(write_file_atomically(path("area"), as_text(blob->public_area), 0600));
  ASSERT_TRUE(write_file_atomically(path("private"), as_text(blob->private_area), 0600));
  ASSERT_TRUE(write_file_atomically(path("message"), "text", 0600));
  tpm2("cd " + directory_.path().string() +
       " && tpm2_load -Q -C 0x81000001 -u area -r private -c key.ctx && tpm2_flushcontext -t"
       " && tpm2_startauthsession --policy-session -S session.ctx && tpm2_policypcr -Q -S session.ctx -l sha256:16,23"
       " && tpm2_sign -Q -c key.ctx -p session:session.ctx -g sha256 -o signature message"
       " && tpm2_flushcontext session.ctx && tpm2_flushcontext -t");
}

TEST_F(AKeyBoundToPcrs, SignsWithNothingElse) {
  const auto key = made(*token_, policy);
  ASSERT_TRUE(key);
  keep_for_openssl(*key);
  const auto blob = tpm::read_tss2_pem(key->pem());
  ASSERT_TRUE(blob);
  auto stripped = *blob;
  stripped.pcr_policy.reset();
  EXPECT_THAT(token_->open_key(tpm::write_tss2_pem(stripped).value()), fails_with(Errc::token_unsupported));
  auto changed = *blob;
  changed.pcr_policy->back() ^= std::byte{1};
  EXPECT_THAT(token_->open_key(tpm::write_tss2_pem(changed).value()), fails_with(Errc::token_wrong_key));
  changed.pcr_policy->pop_back();
  EXPECT_THAT(token_->open_key(tpm::write_tss2_pem(changed).value()), fails_with(Errc::token_wrong_key));
}

TEST_F(AKeyBoundToPcrs, ReadsMoreThanEightRegistersAndOtherKindsOfKeys) {
  const PcrPolicy many{.bank = Digest::sha384, .registers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 16, 23}};
  const auto key = made(*token_, many, KeyAlgorithm::ec_p384);
  ASSERT_TRUE(key);
  EXPECT_TRUE(key->sign(Bytes(48, std::byte{1}), {.digest = Digest::sha384}));
  const auto rsa = made(*token_, many, KeyAlgorithm::rsa_2048);
  ASSERT_TRUE(rsa);
  EXPECT_TRUE(rsa->sign(a_digest(), {.digest = Digest::sha256, .padding = Padding::rsa_pss}));
}

TEST_F(AKeyBoundToPcrs, SignsAlthoughOtherThingsAreMeasuredMeanwhile) {
  const auto key = made(*token_, policy);
  ASSERT_TRUE(key);
  tap_.answer(TpmCommand::sign, 0x128, 2);  // TPM_RC_PCR_CHANGED
  expect_signs(*key);
  tap_.answer(TpmCommand::sign, 0x128, 1000);
  EXPECT_THAT(sign(*key), fails_with(Errc::token_auth_failed));
  tap_.heal();
  expect_signs(*key);
  EXPECT_EQ(sessions(), 1U);
}

TEST_F(AKeyBoundToPcrs, IsNotMadeForABankThatIsNotActiveAndSaysWhichAre) {
  tpm2("tpm2_pcrallocate -Q sha256:all+sha1:none+sha384:none+sha512:none");
  swtpm_.restart();
  tap_.forget_loaded();
  const auto key = token_->create_key({.algorithm = KeyAlgorithm::ec_p256,
                                       .label = {},
                                       .authorization = PcrPolicy{.bank = Digest::sha384, .registers = {0}}});
  EXPECT_THAT(key, fails_with(Errc::token_unsupported));
  EXPECT_THAT(key.error().what, HasSubstr("sha384:0"));
  EXPECT_THAT(key.error().hint, HasSubstr("active banks of this TPM are: sha256"));
  EXPECT_EQ(transient(), 0U);
}

TEST_F(AKeyBoundToPcrs, SignsInLockout) {
  const auto key = made(*token_, policy);
  ASSERT_TRUE(key);
  tpm2("tpm2_dictionarylockout -s -n 1 -t 3600 -l 3600");
  write_secret("guessable");
  const auto token = token_with_auth();
  const auto other = made(*token, AuthValue{});
  ASSERT_TRUE(other);
  write_secret("guess");
  EXPECT_THAT(sign(*other), fails_with(Errc::token_auth_failed));
  write_secret("guessable");
  EXPECT_THAT(sign(*other), fails_with(Errc::token_locked_out));
  expect_signs(*key);
}

}  // namespace
}  // namespace devid::test
