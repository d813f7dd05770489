#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "tests/support/openssl_verify.h"
#include "tests/tokens/token_contract.h"
#include "tokens/token.h"

namespace devid::test {

/// The ways in which a key of this kind signs.
inline std::vector<Padding> paddings(KeyAlgorithm algorithm) {
  if (is_rsa(algorithm)) return {Padding::rsa_pkcs1, Padding::rsa_pss};
  return {Padding::none};
}

/// The fixture of the contract suite.
class AToken : public testing::Test {
 public:
  static void expect_signs(PrivateKey& key, SignatureScheme scheme) {
    const Bytes digest = a_digest(scheme.digest);
    const auto signature = key.sign(digest, scheme);
    ASSERT_TRUE(signature) << signature.error().sentence();
    EXPECT_TRUE(verifies(key.public_key(), digest, scheme, *signature))
        << "digest of " << digest.size() << ", padding " << static_cast<int>(scheme.padding);
  }

  static void expect_signs(PrivateKey& key) {
    const auto algorithm = key.public_key().algorithm;
    expect_signs(key, {.digest = digest_for(algorithm), .padding = paddings(algorithm).front()});
  }

 protected:
  std::unique_ptr<PrivateKey> create(KeyAlgorithm algorithm) {
    auto key = token_->create_key({.algorithm = algorithm, .label = "contract"});
    if (key) return std::move(*key);
    ADD_FAILURE() << key.error().sentence();
    return nullptr;
  }

  std::unique_ptr<TokenUnderTest> hardware_ = make_token_under_test();
  std::unique_ptr<Token> token_ = hardware_->make_token();
};

}  // namespace devid::test
