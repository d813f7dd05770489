// The contract of tokens/token.h as tests: keys that were made elsewhere. They run over every kind of token, as those
// of token_contract.cpp.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/tokens/a_token.h"
#include "tests/tokens/outside_keys.h"

namespace devid::test {
namespace {

class ATokenThatTakesAKey : public AToken {
 protected:
  Result<std::unique_ptr<PrivateKey>> import_key(const std::string& pkcs8,
                                                 KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    return token_->import_key({.algorithm = algorithm, .label = "contract"}, secret(pkcs8));
  }
  std::unique_ptr<PrivateKey> imported(const std::string& pkcs8, KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    auto key = import_key(pkcs8, algorithm);
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }

  void expect_takes(KeyAlgorithm algorithm) {
    const std::string pkcs8 = made_outside(algorithm);
    const std::size_t before = hardware_->keys_held();
    auto key = import_key(pkcs8, algorithm);
    if (!hardware_->makes(algorithm)) {
      ASSERT_FALSE(key);
      EXPECT_EQ(key.error().code, Errc::token_unsupported) << key.error().sentence();
      EXPECT_EQ(hardware_->keys_held(), before);
      return;
    }
    ASSERT_TRUE(key) << key.error().sentence();
    EXPECT_EQ((*key)->public_key().algorithm, algorithm);
    EXPECT_EQ((*key)->public_key().spki, public_key_outside(pkcs8));
    for (const Padding padding : paddings(algorithm))
      for (const Digest digest : {Digest::sha256, Digest::sha384, Digest::sha512})
        expect_signs(**key, {.digest = digest, .padding = padding});
  }
};

TEST_F(ATokenThatTakesAKey, SignsWithAnEcP256Key) { expect_takes(KeyAlgorithm::ec_p256); }
TEST_F(ATokenThatTakesAKey, SignsWithAnEcP384Key) { expect_takes(KeyAlgorithm::ec_p384); }
TEST_F(ATokenThatTakesAKey, SignsWithAnEcP521Key) { expect_takes(KeyAlgorithm::ec_p521); }
TEST_F(ATokenThatTakesAKey, SignsWithAnRsa2048Key) { expect_takes(KeyAlgorithm::rsa_2048); }
TEST_F(ATokenThatTakesAKey, SignsWithAnRsa3072Key) { expect_takes(KeyAlgorithm::rsa_3072); }
TEST_F(ATokenThatTakesAKey, SignsWithAnRsa4096Key) { expect_takes(KeyAlgorithm::rsa_4096); }

TEST_F(ATokenThatTakesAKey, KeepsItInItsPemAcrossARestart) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p384, KeyAlgorithm::rsa_2048}) {
    const std::string pkcs8 = made_outside(algorithm);
    auto key = imported(pkcs8, algorithm);
    ASSERT_TRUE(key);
    const std::string pem = key->pem();
    key.reset();
    token_ = hardware_->make_token();
    const auto opened = token_->open_key(pem);
    ASSERT_TRUE(opened) << opened.error().sentence();
    EXPECT_EQ((*opened)->public_key().spki, public_key_outside(pkcs8));
    EXPECT_EQ((*opened)->pem(), pem);
    expect_signs(**opened);
  }
}

TEST_F(ATokenThatTakesAKey, KeepsItApartFromThoseThatItMadeItself) {
  const auto made = create(KeyAlgorithm::ec_p256);
  const auto taken = imported(made_outside(KeyAlgorithm::ec_p256));
  ASSERT_TRUE(made && taken);
  EXPECT_NE(made->public_key(), taken->public_key());
  for (int turn = 0; turn < 3; ++turn) {
    expect_signs(*made);
    expect_signs(*taken);
  }
}

TEST_F(ATokenThatTakesAKey, DestroysItAndOneThatIsGoneIsNoError) {
  const std::size_t before = hardware_->keys_held();
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    auto key = imported(made_outside(algorithm), algorithm);
    ASSERT_TRUE(key);
    const std::string pem = key->pem();
    key.reset();
    for (int turn = 0; turn < 2; ++turn) {
      const auto destroyed = token_->destroy_key(pem);
      EXPECT_TRUE(destroyed) << destroyed.error().sentence();
    }
    EXPECT_EQ(hardware_->keys_held(), before);
  }
}

TEST_F(ATokenThatTakesAKey, TakesItTwiceAndKeepsTheOneWhenTheOtherIsDestroyed) {
  const std::string pkcs8 = made_outside(KeyAlgorithm::ec_p256);
  auto one = imported(pkcs8);
  const auto other = imported(pkcs8);
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->public_key(), other->public_key());
  EXPECT_NE(one->pem(), other->pem());
  const std::string pem = one->pem();
  one.reset();
  EXPECT_TRUE(token_->destroy_key(pem));
  expect_signs(*other);
}

TEST_F(ATokenThatTakesAKey, RefusesWhatIsNoKeyOfThatKindAndKeepsNothing) {
  const std::string ec = made_outside(KeyAlgorithm::ec_p256);
  const std::string rsa = made_outside(KeyAlgorithm::rsa_2048);
  const std::size_t before = hardware_->keys_held();
  struct Case {
    std::string what;
    KeyAlgorithm algorithm;
    std::string pkcs8;
  };
  const std::vector<Case> cases{
      {"nothing", KeyAlgorithm::ec_p256, ""},
      {"garbage", KeyAlgorithm::ec_p256, "this is not a key"},
      {"a truncated EC key", KeyAlgorithm::ec_p256, ec.substr(0, ec.size() - 1)},
      {"a truncated RSA key", KeyAlgorithm::rsa_2048, rsa.substr(0, rsa.size() / 2)},
      {"a key and one octet more", KeyAlgorithm::ec_p256, ec + '\0'},
      {"an EC key on another curve", KeyAlgorithm::ec_p384, ec},
      {"an RSA key of another size", KeyAlgorithm::rsa_3072, rsa},
      {"an EC key, and RSA is wanted", KeyAlgorithm::rsa_2048, ec},
      {"an RSA key, and EC is wanted", KeyAlgorithm::ec_p256, rsa},
      {"a public exponent of 3", KeyAlgorithm::rsa_2048,
       made_outside("-algorithm RSA -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_keygen_pubexp:3")},
  };
  for (const auto& [what, algorithm, pkcs8] : cases) {
    const auto key = import_key(pkcs8, algorithm);
    ASSERT_FALSE(key) << what;
    EXPECT_EQ(key.error().code, Errc::usage) << what << ": " << key.error().sentence();
    EXPECT_EQ(key.error().retry, Retry::never) << what;
    EXPECT_EQ(hardware_->keys_held(), before) << what;
  }
  EXPECT_TRUE(imported(ec)) << "nothing of this is left in the way of a good one";
}

TEST_F(ATokenThatTakesAKey, KeepsNothingWhenItFailsAndTakesItTheNextTime) {
  const std::string pkcs8 = made_outside(KeyAlgorithm::ec_p256);
  const std::size_t before = hardware_->keys_held();
  hardware_->fail_once();
  EXPECT_FALSE(import_key(pkcs8));
  EXPECT_EQ(hardware_->keys_held(), before);
  const auto key = imported(pkcs8);
  ASSERT_TRUE(key);
  expect_signs(*key);
}

}  // namespace
}  // namespace devid::test
