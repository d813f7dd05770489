// Keys that were made elsewhere, on their way into an HSM and afterwards.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include "tests/support/openssl_verify.h"
#include "tests/tokens/outside_keys.h"
#include "tests/tokens/pkcs11/device_hsm.h"

namespace devid::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class AnImportedHsmKey : public testing::Test {
 protected:
  Result<std::unique_ptr<PrivateKey>> import_key(KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    const std::string& pkcs8 = is_rsa(algorithm) ? rsa_ : ec_;
    auto key = token_->import_key({.algorithm = algorithm, .label = "devid:gateway:7"}, secret(pkcs8));
    if (key) {
      EXPECT_EQ((*key)->public_key().spki, public_key_outside(pkcs8));
      expect_signs(**key);
    }
    return key;
  }
  static void expect_signs(PrivateKey& key) {
    const SignatureScheme scheme{.padding = is_rsa(key.public_key().algorithm) ? Padding::rsa_pss : Padding::none};
    const Bytes digest = a_digest(Digest::sha256);
    const auto signature = key.sign(digest, scheme);
    ASSERT_TRUE(signature) << told(signature);
    EXPECT_TRUE(verifies(key.public_key(), digest, scheme, *signature));
  }
  /// What pkcs11-tool says of the private key.
  [[nodiscard]] std::string private_key() {
    std::string listing = device_.hsm().listing(device_.hsm().token());
    for (auto at = listing.find("Private Key Object"); at != std::string::npos;) {
      const auto next = listing.find(" Object", at + 20);
      const std::string one = listing.substr(at, next - at);
      if (one.find("devid:gateway:7") != std::string::npos) return one;
      at = listing.find("Private Key Object", at + 1);
    }
    return listing;
  }

  DeviceHsm device_;
  std::unique_ptr<Token> token_ = device_.make_token();
  std::string ec_ = made_outside(KeyAlgorithm::ec_p256);
  std::string rsa_ = made_outside(KeyAlgorithm::rsa_2048);
};

TEST_F(AnImportedHsmKey, IsSensitiveAndSaysThatItWasMadeElsewhere) {
  for (const bool wraps : {true, false}) {
    if (!wraps) device_.tap().hide_mechanisms({CKM_AES_KEY_WRAP_PAD});
    const auto key = import_key();
    ASSERT_TRUE(key) << told(key);
    const std::string said = private_key();
    EXPECT_THAT(said, HasSubstr("sensitive"));
    EXPECT_THAT(said, HasSubstr("sign"));
    for (const char* claim : {"extractable", "always sensitive", "local", "derive"})
      EXPECT_THAT(said, Not(HasSubstr(claim)));
    EXPECT_TRUE(token_->destroy_key((*key)->pem()));
  }
}

TEST_F(AnImportedHsmKey, IsUnwrappedInTheToken) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    device_.tap().reset();
    const auto key = import_key(algorithm);
    ASSERT_TRUE(key) << told(key);
    EXPECT_EQ(device_.tap().calls("C_UnwrapKey"), 2U) << device_.tap().summary();
    EXPECT_EQ(device_.tap().calls("C_CreateObject"), 1U) << "the public key";
    EXPECT_EQ(device_.tap().calls("C_DestroyObject"), 3U) << "the keys of the session";
  }
}

TEST_F(AnImportedHsmKey, IsCreatedWhereTheTokenDoesNotUnwrap) {
  for (const CK_MECHANISM_TYPE lacking : {CKM_AES_KEY_WRAP_PAD, CKM_RSA_PKCS_OAEP, CKM_RSA_PKCS_KEY_PAIR_GEN}) {
    device_.tap().heal();
    device_.tap().hide_mechanisms({lacking});
    for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
      device_.tap().reset();
      const auto key = import_key(algorithm);
      ASSERT_TRUE(key) << told(key);
      EXPECT_EQ(device_.tap().calls("C_UnwrapKey"), 0U) << device_.tap().summary();
      EXPECT_EQ(device_.tap().calls("C_CreateObject"), 2U);
    }
  }
}

TEST_F(AnImportedHsmKey, IsCreatedWhereTheTokenStumblesOverUnwrapping) {
  const std::size_t before = device_.objects();
  for (const CK_RV rv : {CKR_WRAPPED_KEY_INVALID, CKR_TEMPLATE_INCONSISTENT, CKR_FUNCTION_NOT_SUPPORTED,
                         CKR_GENERAL_ERROR, CKR_FUNCTION_FAILED}) {
    for (const unsigned after : {0U, 1U}) {
      device_.tap().heal();
      device_.tap().fail("C_UnwrapKey", rv, 100, after);
      const auto key = import_key();
      ASSERT_TRUE(key) << rv << ": " << told(key);
      EXPECT_TRUE(token_->destroy_key((*key)->pem()));
      device_.tap().heal();
      EXPECT_EQ(device_.objects(), before) << rv;
    }
  }
}

TEST_F(AnImportedHsmKey, OfATokenThatKnowsFewAttributesIsUnwrappedWithTheLeast) {
  device_.tap().fail("C_UnwrapKey", CKR_ATTRIBUTE_TYPE_INVALID, 1, 1);
  const auto key = import_key();
  ASSERT_TRUE(key) << told(key);
  EXPECT_EQ(device_.tap().calls("C_UnwrapKey"), 3U);
  EXPECT_EQ(device_.tap().calls("C_CreateObject"), 1U);
}

TEST_F(AnImportedHsmKey, ThatCanBeReadIsRefusedAndDestroyed) {
  const std::size_t before = device_.objects();
  device_.tap().misbehave(ModuleMisbehaviour::extractable_keys);
  for (const bool wraps : {true, false}) {
    if (!wraps) device_.tap().hide_mechanisms({CKM_AES_KEY_WRAP_PAD});
    const auto key = import_key();
    ASSERT_FALSE(key);
    EXPECT_THAT(told(key), HasSubstr("CKA_EXTRACTABLE"));
    EXPECT_EQ(device_.objects(), before);
  }
}

TEST_F(AnImportedHsmKey, LeavesNothingBehindWhicheverCallFails) {
  const std::size_t before = device_.objects();
  ASSERT_TRUE(token_->destroy_key(import_key().value()->pem()));  // it is logged in
  bool reached = true;
  for (unsigned after = 0; reached; ++after) {
    ASSERT_LT(after, 60U) << "an import has fewer calls";
    device_.tap().fail("", CKR_DEVICE_MEMORY, 1, after);
    const auto key = token_->import_key({.algorithm = KeyAlgorithm::ec_p256}, secret(ec_));
    reached = device_.tap().has_failed();
    device_.tap().heal();
    if (key) {
      EXPECT_TRUE(token_->destroy_key((*key)->pem()));
    }
    EXPECT_EQ(device_.objects(), before) << after;
  }
}

TEST_F(AnImportedHsmKey, IsNotTakenByAFullOrAWriteProtectedToken) {
  const std::size_t before = device_.objects();
  device_.tap().fail_always("C_UnwrapKey", CKR_DEVICE_MEMORY);
  device_.tap().fail_always("C_CreateObject", CKR_DEVICE_MEMORY);
  EXPECT_EQ(code_of(import_key()), Errc::token_full);
  device_.tap().heal();
  device_.tap().set_token_flags(CKF_WRITE_PROTECTED);
  token_ = device_.make_token();
  EXPECT_EQ(code_of(import_key()), Errc::token_read_only);
  device_.tap().heal();
  EXPECT_EQ(device_.objects(), before);
}

TEST_F(AnImportedHsmKey, WantsNoAuthorizationOfItsOwn) {
  const auto key =
      token_->import_key({.algorithm = KeyAlgorithm::ec_p256, .label = {}, .authorization = AuthValue{}}, secret(ec_));
  EXPECT_EQ(code_of(key), Errc::token_unsupported) << told(key);
}

TEST_F(AnImportedHsmKey, HasItsCertificateBesideIt) {
  Pkcs11Spec spec = device_.spec();
  spec.store_certificates = true;
  token_ = std::make_unique<Pkcs11Token>(spec);
  const std::size_t before = device_.objects();
  const auto key = import_key();
  ASSERT_TRUE(key) << told(key);
  const Bytes der = to_bytes(as_bytes(pem_to_der(device_.factory().certificate.certificate_pem)));
  EXPECT_TRUE(token_->store_certificate((*key)->pem(), der));
  EXPECT_EQ(device_.objects(), before + 3);
  EXPECT_TRUE(token_->destroy_key((*key)->pem()));
  EXPECT_EQ(device_.objects(), before);
}

}  // namespace
}  // namespace devid::test
