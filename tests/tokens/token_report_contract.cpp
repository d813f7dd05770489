// The contract of tokens/token.h as tests: what a token tells of itself and of what is in it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "tests/tokens/a_token.h"

namespace devid::test {
namespace {

using testing::IsEmpty;
using testing::Not;

TEST_F(AToken, ListsTheCertificateOfTheFactory) {
  const auto certificates = token_->list_certificates();
  ASSERT_TRUE(certificates) << certificates.error().sentence();
  const auto found = std::ranges::find(*certificates, hardware_->certificate_location(), &CertificateListing::location);
  ASSERT_NE(found, certificates->end());
  ASSERT_TRUE(found->content) << found->content.error().sentence();
  EXPECT_EQ(*found->content, hardware_->certificate());
}

TEST_F(AToken, OpensAKeyAtAnyPlaceFromWhichItMayBeDerivedOrSaysThatNoneIsThere) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    std::set<std::string> seen;
    for (const auto& location : token_->derivable_keys(algorithm)) {
      EXPECT_TRUE(seen.insert(location).second) << location << " twice";
      const auto key = token_->open_key_at(location);
      if (!key) {
        EXPECT_EQ(key.error().code, Errc::token_no_such_key) << location << ": " << key.error().sentence();
        continue;
      }
      EXPECT_EQ((*key)->public_key().algorithm, algorithm) << location;
    }
  }
}

TEST_F(AToken, SaysWhichKeysItMakesAndMakesNoneToFindOut) {
  const std::size_t before = hardware_->keys_held();
  const auto report = token_->inspect();
  ASSERT_TRUE(report) << report.error().sentence();
  EXPECT_THAT(report->manufacturer, Not(IsEmpty()));
  for (const KeyAlgorithm algorithm : all_key_algorithms()) {
    const auto times = std::ranges::count(report->algorithms, algorithm);
    EXPECT_EQ(times, hardware_->makes(algorithm) ? 1 : 0) << algorithm_name(algorithm);
  }
  EXPECT_EQ(hardware_->keys_held(), before);
}

TEST_F(AToken, GuardsAKeyAsItWasToldOrRefusesToMakeIt) {
  const std::size_t before = hardware_->keys_held();
  for (const KeyAuthorization& authorization :
       {KeyAuthorization(AuthValue{}), KeyAuthorization(PcrPolicy{.bank = Digest::sha256, .registers = {0, 7}})}) {
    auto key = token_->create_key({.label = "contract", .authorization = authorization});
    if (!key) {
      EXPECT_EQ(key.error().code, Errc::token_unsupported) << key.error().sentence();
      EXPECT_EQ(hardware_->keys_held(), before);
      continue;
    }
    expect_signs(**key);
    const std::string pem = (*key)->pem();
    key->reset();
    token_ = hardware_->make_token();
    const auto opened = token_->open_key(pem);
    ASSERT_TRUE(opened) << opened.error().sentence();
    expect_signs(**opened);
  }
}

TEST_F(AToken, TakesACertificateForItsKeyAndGivesItUpWithTheKey) {
  const auto certificates_before = token_->list_certificates();
  ASSERT_TRUE(certificates_before) << certificates_before.error().sentence();
  const std::size_t keys_before = hardware_->keys_held();
  auto key = create(KeyAlgorithm::ec_p256);
  ASSERT_TRUE(key);
  for (int turn = 0; turn < 2; ++turn) {
    const auto stored = token_->store_certificate(key->pem(), hardware_->certificate());
    EXPECT_TRUE(stored) << stored.error().sentence();
  }
  expect_signs(*key);
  const std::string pem = key->pem();
  key.reset();
  const auto destroyed = token_->destroy_key(pem);
  EXPECT_TRUE(destroyed) << destroyed.error().sentence();
  EXPECT_EQ(hardware_->keys_held(), keys_before);
  const auto certificates = token_->list_certificates();
  ASSERT_TRUE(certificates) << certificates.error().sentence();
  EXPECT_EQ(certificates->size(), certificates_before->size());
}

}  // namespace
}  // namespace devid::test
