// The contract of tokens/token.h as tests: keys. They run over every kind of token: each test program links this file
// and token_report_contract.cpp with its own make_token_under_test().

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <iostream>

#include "base/openssl.h"
#include "tests/tokens/a_token.h"

namespace devid::test {
namespace {

using testing::Contains;
using testing::Field;
using testing::IsEmpty;
using testing::Not;

/// A damaged form of a PEM file and what is wrong with it.
struct Damaged {
  std::string what;
  std::string pem;
};

std::vector<Damaged> damages(const std::string& pem) {
  std::string flipped = pem;
  const auto middle = flipped.size() / 2;
  flipped[middle] = flipped[middle] == 'A' ? 'B' : 'A';
  return {
      {.what = "empty", .pem = ""},
      {.what = "no PEM", .pem = "this is not a key"},
      {.what = "cut in the middle", .pem = pem.substr(0, pem.size() / 2)},
      {.what = "cut in the last line", .pem = pem.substr(0, pem.size() - 10)},
      {.what = "another kind of PEM", .pem = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n"},
      {.what = "zeros", .pem = std::string(3000, '\0')},
      {.what = "large", .pem = std::string(200'000, 'A')},
      {.what = "one character changed", .pem = flipped},
  };
}

/// What tests/tokens/algorithm-table reads from the log of ctest.
void tell(std::string_view makes_or_lacks, KeyAlgorithm algorithm) {
  std::cout << makes_or_lacks << ' ' << algorithm_name(algorithm) << '\n';
}

void expect_makes_keys_that_sign(TokenUnderTest& hardware, KeyAlgorithm algorithm, int bits) {
  const auto token = hardware.make_token();
  const auto key = token->create_key({.algorithm = algorithm, .label = "contract"});
  if (!hardware.makes(algorithm)) {
    ASSERT_FALSE(key);
    EXPECT_EQ(key.error().code, Errc::token_unsupported);
    return tell("lacks", algorithm);
  }
  ASSERT_TRUE(key) << key.error().sentence();
  const PublicKey& public_key = (*key)->public_key();
  EXPECT_EQ(public_key.algorithm, algorithm);
  const unsigned char* at = as_uchar(BytesView(public_key.spki));
  const Pkey pkey(d2i_PUBKEY(nullptr, &at, static_cast<long>(public_key.spki.size())));
  ASSERT_TRUE(pkey) << openssl_reason();
  EXPECT_EQ(EVP_PKEY_get_bits(pkey.get()), bits);
  EXPECT_EQ(EVP_PKEY_get_base_id(pkey.get()), is_rsa(algorithm) ? EVP_PKEY_RSA : EVP_PKEY_EC);
  for (const Padding padding : paddings(algorithm))
    for (const Digest digest : {Digest::sha256, Digest::sha384, Digest::sha512})
      AToken::expect_signs(**key, {.digest = digest, .padding = padding});
  if (!testing::Test::HasFailure()) tell("makes", algorithm);
}

TEST_F(AToken, MakesEcP256KeysThatSign) { expect_makes_keys_that_sign(*hardware_, KeyAlgorithm::ec_p256, 256); }
TEST_F(AToken, MakesEcP384KeysThatSign) { expect_makes_keys_that_sign(*hardware_, KeyAlgorithm::ec_p384, 384); }
TEST_F(AToken, MakesEcP521KeysThatSign) { expect_makes_keys_that_sign(*hardware_, KeyAlgorithm::ec_p521, 521); }
TEST_F(AToken, MakesRsa2048KeysThatSign) { expect_makes_keys_that_sign(*hardware_, KeyAlgorithm::rsa_2048, 2048); }
TEST_F(AToken, MakesRsa3072KeysThatSign) { expect_makes_keys_that_sign(*hardware_, KeyAlgorithm::rsa_3072, 3072); }
TEST_F(AToken, MakesRsa4096KeysThatSign) { expect_makes_keys_that_sign(*hardware_, KeyAlgorithm::rsa_4096, 4096); }

TEST_F(AToken, MakesAnotherKeyEachTime) {
  const auto one = create(KeyAlgorithm::ec_p256);
  const auto other = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(one && other);
  EXPECT_NE(one->public_key(), other->public_key());
  EXPECT_NE(one->pem(), other->pem());
}

TEST_F(AToken, SignsWithTheRightOneOfTwoKeysInTurns) {
  const auto one = create(KeyAlgorithm::ec_p256);
  const auto other = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(one && other);
  for (int turn = 0; turn < 3; ++turn) {
    expect_signs(*one);
    expect_signs(*other);
  }
}

TEST_F(AToken, KeepsAKeyInItsPemAcrossARestart) {
  auto made = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(made);
  const std::string pem = made->pem();
  const PublicKey public_key = made->public_key();
  made.reset();
  token_ = hardware_->make_token();

  const auto opened = token_->open_key(pem);
  ASSERT_TRUE(opened) << opened.error().sentence();
  EXPECT_EQ((*opened)->public_key(), public_key);
  EXPECT_EQ((*opened)->pem(), pem);
  expect_signs(**opened);
}

TEST_F(AToken, OpensAKeyTwiceAndSignsWithEitherAfterTheOtherIsGone) {
  auto made = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(made);
  auto opened = token_->open_key(made->pem());
  ASSERT_TRUE(opened) << opened.error().sentence();
  expect_signs(*made);
  expect_signs(**opened);
  made.reset();
  expect_signs(**opened);
}

TEST_F(AToken, RefusesADamagedPem) {
  const auto key = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(key);
  for (const auto& [what, pem] : damages(key->pem())) {
    const auto opened = token_->open_key(pem);
    if (opened) {  // a token may leave the hardware alone until the key signs
      const auto signature = (*opened)->sign(a_digest(Digest::sha256), {});
      ASSERT_FALSE(signature) << what;
      EXPECT_EQ(signature.error().code, Errc::token_wrong_key) << what << ": " << signature.error().sentence();
    } else {
      EXPECT_EQ(opened.error().code, Errc::token_wrong_key) << what << ": " << opened.error().sentence();
    }
  }
  expect_signs(*key);
}

TEST_F(AToken, DoesNotSignWithTheKeyOfAnotherToken) {
  const auto foreign = token_->open_key(hardware_->foreign_pem());
  if (!foreign) {
    EXPECT_EQ(foreign.error().code, Errc::token_wrong_key) << foreign.error().sentence();
    return;
  }
  const auto signature = (*foreign)->sign(a_digest(Digest::sha256), {});
  ASSERT_FALSE(signature);
  EXPECT_EQ(signature.error().code, Errc::token_wrong_key) << signature.error().sentence();
}

TEST_F(AToken, RefusesADigestOfTheWrongLength) {
  const auto key = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(key);
  for (const std::size_t size : {0U, 20U, 31U, 33U, 48U, 10'000U}) {
    const auto signature = key->sign(Bytes(size), {.digest = Digest::sha256});
    ASSERT_FALSE(signature) << size;
    EXPECT_EQ(signature.error().code, Errc::usage) << size;
  }
  expect_signs(*key);
}

TEST_F(AToken, RefusesASchemeThatDoesNotFitTheKey) {
  const auto ec = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(ec);
  for (const Padding padding : {Padding::rsa_pkcs1, Padding::rsa_pss}) {
    const auto signature = ec->sign(a_digest(Digest::sha256), {.padding = padding});
    ASSERT_FALSE(signature);
    EXPECT_EQ(signature.error().code, Errc::token_unsupported);
  }
  if (!hardware_->makes(KeyAlgorithm::rsa_2048)) return;
  const auto rsa = create(KeyAlgorithm::rsa_2048);
  ASSERT_TRUE(rsa);
  const auto signature = rsa->sign(a_digest(Digest::sha256), {.padding = Padding::none});
  ASSERT_FALSE(signature);
  EXPECT_EQ(signature.error().code, Errc::token_unsupported);
}

TEST_F(AToken, OpensAKeyThatWasThereBefore) {
  const auto key = token_->open_key_at(hardware_->factory_key_location());
  ASSERT_TRUE(key) << key.error().sentence();
  EXPECT_EQ((*key)->public_key().algorithm, KeyAlgorithm::ec_p256);
  EXPECT_THAT((*key)->pem(), IsEmpty());
  expect_signs(**key);
}

TEST_F(AToken, SaysSoWhenNoKeyIsAtALocation) {
  const auto key = token_->open_key_at(hardware_->missing_key_location());
  ASSERT_FALSE(key);
  EXPECT_EQ(key.error().code, Errc::token_no_such_key);
  EXPECT_THAT(key.error().what, testing::HasSubstr(hardware_->missing_key_location()));
}

TEST_F(AToken, RefusesALocationThatItDoesNotUnderstand) {
  const std::string good = hardware_->factory_key_location();
  for (const std::string& location :
       {std::string(), std::string("nonsense"), std::string("nonsense:1"), good.substr(0, good.find(':') + 1)}) {
    const auto key = token_->open_key_at(location);
    ASSERT_FALSE(key) << location;
    EXPECT_EQ(key.error().code, Errc::usage) << location;
    const auto certificate = token_->read_certificate(location);
    ASSERT_FALSE(certificate) << location;
    EXPECT_EQ(certificate.error().code, Errc::usage) << location;
  }
}

TEST_F(AToken, DestroysAKeyThatItMadeAndOneThatIsGoneIsNoError) {
  const std::size_t before = hardware_->keys_held();
  auto key = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(key);
  const std::string pem = key->pem();
  expect_signs(*key);
  key.reset();
  for (int turn = 0; turn < 2; ++turn) {
    const auto destroyed = token_->destroy_key(pem);
    EXPECT_TRUE(destroyed) << destroyed.error().sentence();
  }
  EXPECT_EQ(hardware_->keys_held(), before);
}

TEST_F(AToken, AnnouncesAKeyThatItWillKeep) {
  const std::size_t before = hardware_->keys_held();
  std::vector<std::string> announced;
  auto key = token_->create_key({.algorithm = KeyAlgorithm::ec_p256,
                                 .label = "devid:contract:1",
                                 .announce = [&](const std::string& pem) { announced.push_back(pem); }});
  ASSERT_TRUE(key) << key.error().sentence();
  const bool is_kept = hardware_->keys_held() > before;
  EXPECT_EQ(announced, is_kept ? std::vector{(*key)->pem()} : std::vector<std::string>());
}

TEST_F(AToken, DestroysNothingOnADamagedPem) {
  const std::size_t before = hardware_->keys_held();
  EXPECT_FALSE(token_->destroy_key(""));
  EXPECT_FALSE(token_->destroy_key("this is not a key"));
  EXPECT_EQ(hardware_->keys_held(), before);
}

TEST_F(AToken, LeavesNothingBehindWhenAKeyCannotBeMade) {
  const std::size_t before = hardware_->keys_held();
  hardware_->fail_once();
  EXPECT_FALSE(token_->create_key({.algorithm = KeyAlgorithm::ec_p256}));
  EXPECT_EQ(hardware_->keys_held(), before);
}

TEST_F(AToken, WorksAgainAfterAFailure) {
  const auto key = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(key);
  hardware_->fail_once();
  const auto signature = key->sign(a_digest(Digest::sha256), {});
  ASSERT_FALSE(signature);
  EXPECT_THAT(signature.error().what, Not(IsEmpty()));
  expect_signs(*key);
  EXPECT_TRUE(create(KeyAlgorithm::ec_p256));
}

TEST_F(AToken, ListsTheKeysThatAreInItForGood) {
  const auto keys = token_->list_keys();
  ASSERT_TRUE(keys) << keys.error().sentence();
  ASSERT_THAT(*keys, Contains(Field(&KeyListing::location, hardware_->factory_key_location())));
  EXPECT_TRUE(std::ranges::is_sorted(*keys, {}, &KeyListing::location));
  for (const auto& [location, public_key] : *keys) {
    EXPECT_THAT(location, Not(IsEmpty()));
    const auto key = token_->open_key_at(location);
    ASSERT_EQ(key.has_value(), public_key.has_value()) << location;
    if (!key) continue;
    EXPECT_EQ((*key)->public_key(), *public_key);
  }
}

TEST_F(AToken, ReadsTheCertificateAsItIsStored) {
  const auto certificate = token_->read_certificate(hardware_->certificate_location());
  ASSERT_TRUE(certificate) << certificate.error().sentence();
  EXPECT_EQ(*certificate, hardware_->certificate());
}

TEST_F(AToken, SaysSoWhenNoCertificateIsAtALocation) {
  const auto certificate = token_->read_certificate(hardware_->missing_certificate_location());
  ASSERT_FALSE(certificate);
  EXPECT_EQ(certificate.error().code, Errc::idevid_missing) << certificate.error().sentence();
}

TEST_F(AToken, DescribesItself) {
  const auto description = token_->description();
  EXPECT_THAT(description.name, Not(IsEmpty()));
  EXPECT_THAT(description.kind, Not(IsEmpty()));
}

}  // namespace
}  // namespace devid::test
