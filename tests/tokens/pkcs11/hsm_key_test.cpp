// Keys and certificates in an HSM, seen with pkcs11-tool, which is not ours.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <p11-kit/pkcs11.h>

#include <algorithm>
#include <fstream>

#include "tests/support/command.h"
#include "tests/support/openssl_verify.h"
#include "tests/tokens/pkcs11/device_hsm.h"

namespace devid::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

class AnHsmKey : public testing::Test {
 protected:
  std::unique_ptr<PrivateKey> create(KeyAlgorithm algorithm = KeyAlgorithm::ec_p256) {
    auto key = token_->create_key({.algorithm = algorithm, .label = "devid:gateway:7"});
    if (key) return std::move(*key);
    ADD_FAILURE() << told(key);
    return nullptr;
  }
  static Result<Bytes> sign(PrivateKey& key, Padding padding = Padding::none) {
    const Bytes digest = a_digest(Digest::sha256);
    auto signature = key.sign(digest, {.padding = padding});
    if (signature) {
      EXPECT_TRUE(verifies(key.public_key(), digest, {.padding = padding}, *signature));
    }
    return signature;
  }
  [[nodiscard]] Bytes idevid_der() const {
    return to_bytes(as_bytes(pem_to_der(device_.factory().certificate.certificate_pem)));
  }

  DeviceHsm device_;
  std::unique_ptr<Token> token_ = device_.make_token();
};

TEST_F(AnHsmKey, IsSensitiveAndNeverWasExtractable) {
  ASSERT_TRUE(create());
  const std::string listing = device_.hsm().listing(device_.hsm().token());
  const auto at = listing.find("label:      devid:gateway:7");
  ASSERT_NE(at, std::string::npos) << listing;
  const auto start = listing.rfind("Private Key Object", at);
  const std::string key = start == std::string::npos ? listing.substr(at) : listing.substr(start);
  EXPECT_THAT(key, HasSubstr("sensitive, always sensitive, never extractable, local")) << listing;
}

TEST_F(AnHsmKey, HasAnIdOfItsOwn) {
  const auto one = create();
  const auto other = create();
  ASSERT_TRUE(one && other);
  const auto keys = token_->list_keys();
  ASSERT_TRUE(keys) << told(keys);
  ASSERT_EQ(keys->size(), 3U);
  for (const auto& key : {one.get(), other.get()}) {
    const auto listed = std::ranges::find_if(
        *keys, [&](const KeyListing& it) { return it.public_key && *it.public_key == key->public_key(); });
    ASSERT_NE(listed, keys->end());
    EXPECT_THAT(listed->location, HasSubstr("pkcs11:id=%"));
  }
}

TEST_F(AnHsmKey, IsNamedByAUriInThePemOfPkcs11Provider) {
  const auto key = create();
  ASSERT_TRUE(key);
  EXPECT_THAT(key->pem(), AllOf(testing::StartsWith("-----BEGIN PKCS#11 PROVIDER URI-----\n"),
                                testing::EndsWith("-----END PKCS#11 PROVIDER URI-----\n")));
  const std::string inner = key->pem().substr(key->pem().find('\n') + 1);
  const std::string base64 = inner.substr(0, inner.find("-----END"));
  const std::string text = output_of({.argv = {"openssl", "asn1parse"}, .input = key->pem()});
  EXPECT_THAT(text, AllOf(HasSubstr("PKCS#11 Provider URI v1.0"), HasSubstr("pkcs11:"), HasSubstr("token=dev"),
                          HasSubstr("type=private")))
      << base64;
  EXPECT_THAT(text, AllOf(Not(HasSubstr(device_.hsm().token().pin)), Not(HasSubstr("pin-"))));
}

TEST_F(AnHsmKey, ThatCanBeReadIsRefusedAndDestroyed) {
  const std::size_t before = device_.objects();
  device_.tap().misbehave(ModuleMisbehaviour::extractable_keys);
  const auto key = token_->create_key({});
  ASSERT_FALSE(key);
  EXPECT_THAT(told(key), HasSubstr("CKA_EXTRACTABLE"));
  EXPECT_EQ(key.error().retry, Retry::after_operator);
  EXPECT_EQ(device_.objects(), before);
}

TEST_F(AnHsmKey, OfEveryKindLeavesNothingBehindWhenItIsDestroyed) {
  const std::size_t before = device_.objects();
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p384, KeyAlgorithm::rsa_2048}) {
    const auto key = create(algorithm);
    ASSERT_TRUE(key);
    EXPECT_TRUE(token_->destroy_key(key->pem()));
    EXPECT_EQ(device_.objects(), before) << algorithm_name(algorithm);
  }
}

TEST_F(AnHsmKey, ThatWasDeletedBehindDevidsBackIsGoneAndSaysSo) {
  const auto key = create();
  ASSERT_TRUE(key);
  ASSERT_TRUE(sign(*key));
  const std::string pem = key->pem();
  const auto keys = token_->list_keys();
  ASSERT_TRUE(keys);
  for (const auto& [location, public_key] : *keys) {
    if (!public_key || *public_key != key->public_key()) continue;
    std::string id = location.substr(location.find("id=") + 3);
    std::erase(id, '%');
    device_.hsm().delete_object(device_.hsm().token(), "privkey", id);
  }
  const auto signature = sign(*key);
  EXPECT_EQ(code_of(signature), Errc::token_no_such_key) << told(signature);
  const auto opened = token_->open_key(pem);
  EXPECT_EQ(opened ? code_of(sign(**opened)) : code_of(opened), Errc::token_no_such_key) << told(opened);
  EXPECT_TRUE(token_->destroy_key(pem)) << "what is gone is no error";
  EXPECT_TRUE(create());
}

TEST_F(AnHsmKey, IsNotSignedForByAnotherOneThatTookItsPlace) {
  const auto key = token_->open_key_at(device_.factory().location);
  ASSERT_TRUE(key) << told(key);
  ASSERT_TRUE(sign(**key));
  for (const char* type : {"privkey", "pubkey", "cert"}) device_.hsm().delete_object(device_.hsm().token(), type, "01");
  (void)device_.hsm().manufacture(device_.pki(), "Manufacturer");
  const auto signature = (*key)->sign(a_digest(Digest::sha256), {});
  EXPECT_EQ(code_of(signature), Errc::token_wrong_key) << told(signature);
}

TEST_F(AnHsmKey, WithoutAPublicObjectIsOpenedByItsCertificate) {
  for (const char* type : {"privkey", "pubkey", "cert"}) device_.hsm().delete_object(device_.hsm().token(), type, "01");
  const auto made = device_.hsm().manufacture(device_.hsm().token(), device_.pki(), "Manufacturer",
                                              {.id = "0a0b", .public_object = false});
  const auto key = token_->open_key_at(made.location);
  ASSERT_TRUE(key) << told(key);
  EXPECT_TRUE(sign(**key));
}

TEST_F(AnHsmKey, OfWhichOnlyTheCertificateIsThereIsNoKey) {
  device_.hsm().delete_object(device_.hsm().token(), "privkey", "01");
  const auto key = token_->open_key_at(device_.factory().location);
  EXPECT_EQ(code_of(key), Errc::token_no_such_key) << told(key);
  const auto certificate = token_->read_certificate(device_.factory().location);
  EXPECT_TRUE(certificate) << told(certificate);
  const auto keys = token_->list_keys();
  ASSERT_TRUE(keys) << told(keys);
  EXPECT_THAT(*keys, Not(Contains(Field(&KeyListing::location, device_.factory().location))));
}

TEST_F(AnHsmKey, IsAmbiguousIfTwoHaveItsId) {
  const auto second =
      device_.hsm().manufacture(device_.hsm().token(), device_.pki(), "Manufacturer", {.certificate_object = false});
  EXPECT_EQ(second.location, device_.factory().location);
  const auto key = token_->open_key_at(device_.factory().location);
  EXPECT_EQ(code_of(key), Errc::token_ambiguous) << told(key);
}

TEST_F(AnHsmKey, OfTheFactoryIsNotDestroyed) {
  const std::size_t before = device_.objects();
  const auto key = token_->open_key_at(device_.factory().location);
  ASSERT_TRUE(key) << told(key);
  EXPECT_EQ((*key)->pem(), "");
  EXPECT_FALSE(token_->destroy_key(device_.factory().location));
  EXPECT_EQ(device_.objects(), before);
}

TEST_F(AnHsmKey, SignsWithRawRsaWhereTheModuleHasNoPss) {
  device_.tap().hide_mechanisms(
      {CKM_RSA_PKCS_PSS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA512_RSA_PKCS_PSS});
  const auto key = create(KeyAlgorithm::rsa_2048);
  ASSERT_TRUE(key);
  for (int turn = 0; turn < 3; ++turn) {
    const auto signature = sign(*key, Padding::rsa_pss);
    EXPECT_TRUE(signature) << told(signature);
  }
  EXPECT_TRUE(sign(*key, Padding::rsa_pkcs1));
}

TEST_F(AnHsmKey, IsNotPaddedByDevidWhereTheModuleDoesIt) {
  device_.tap().hide_mechanisms({CKM_RSA_X_509});
  const auto key = create(KeyAlgorithm::rsa_2048);
  ASSERT_TRUE(key);
  EXPECT_TRUE(sign(*key, Padding::rsa_pss));
  EXPECT_TRUE(sign(*key, Padding::rsa_pkcs1));
}

TEST_F(AnHsmKey, OfAKindThatTheTokenDoesNotHaveIsRefusedByNamingThoseItHas) {
  device_.tap().hide_mechanisms({CKM_EC_KEY_PAIR_GEN});
  const auto key = token_->create_key({.algorithm = KeyAlgorithm::ec_p256});
  EXPECT_EQ(code_of(key), Errc::token_unsupported) << told(key);
  if (!key) {
    EXPECT_THAT(key.error().sentence() + key.error().hint, HasSubstr("rsa-2048"));
  }
  const auto report = token_->inspect();
  ASSERT_TRUE(report) << told(report);
  EXPECT_THAT(report->algorithms, Not(Contains(KeyAlgorithm::ec_p256)));
  EXPECT_THAT(report->algorithms, Contains(KeyAlgorithm::rsa_2048));
}

class ACertificateBesideItsKey : public AnHsmKey {
 protected:
  ACertificateBesideItsKey() {
    Pkcs11Spec spec = device_.spec();
    spec.store_certificates = true;
    token_ = std::make_unique<Pkcs11Token>(spec);
  }
  std::size_t certificates() { return device_.hsm().count(device_.hsm().token(), "Certificate"); }
};

TEST_F(ACertificateBesideItsKey, HasTheIdAndTheLabelOfItsKeyAndGoesWithIt) {
  const auto key = create();
  ASSERT_TRUE(key);
  const auto stored = token_->store_certificate(key->pem(), idevid_der());
  ASSERT_TRUE(stored) << told(stored);
  EXPECT_EQ(certificates(), 2U);
  const std::string listing = device_.hsm().listing(device_.hsm().token());
  std::size_t labels = 0;
  for (auto at = listing.find("devid:gateway:7"); at != std::string::npos; at = listing.find("devid:gateway:7", at + 1))
    ++labels;
  EXPECT_EQ(labels, 3U) << listing;
  EXPECT_TRUE(token_->destroy_key(key->pem()));
  EXPECT_EQ(certificates(), 1U);
}

TEST_F(ACertificateBesideItsKey, TakesThePlaceOfTheOneBefore) {
  const auto key = create();
  ASSERT_TRUE(key);
  for (int turn = 0; turn < 3; ++turn) EXPECT_TRUE(token_->store_certificate(key->pem(), idevid_der()));
  EXPECT_EQ(certificates(), 2U);
}

TEST_F(ACertificateBesideItsKey, IsNotThatOfTheFactory) {
  const auto certificate = token_->read_certificate(device_.factory().location);
  ASSERT_TRUE(certificate) << told(certificate);
  EXPECT_EQ(*certificate, idevid_der());
  const auto listed = token_->list_certificates();
  ASSERT_TRUE(listed) << told(listed);
  ASSERT_EQ(listed->size(), 1U);
  EXPECT_EQ(listed->front().location, device_.factory().location);
}

TEST_F(ACertificateBesideItsKey, IsNotWrittenUnlessItIsConfigured) {
  const auto key = create();
  ASSERT_TRUE(key);
  EXPECT_TRUE(device_.make_token()->store_certificate(key->pem(), idevid_der()));
  EXPECT_EQ(certificates(), 1U);
}

class ATokenThatTakesNothing : public AnHsmKey {};

TEST_F(ATokenThatTakesNothing, BecauseItIsWriteProtectedSaysSo) {
  device_.tap().set_token_flags(CKF_WRITE_PROTECTED);
  const auto key = token_->create_key({});
  EXPECT_EQ(code_of(key), Errc::token_read_only) << told(key);
  const auto report = token_->inspect();
  ASSERT_TRUE(report) << told(report);
  EXPECT_THAT(report->remarks, Contains(HasSubstr("write-protected")));
}

TEST_F(ATokenThatTakesNothing, StillSigns) {
  device_.tap().set_token_flags(CKF_WRITE_PROTECTED);
  const auto key = token_->open_key_at(device_.factory().location);
  ASSERT_TRUE(key) << told(key);
  EXPECT_TRUE(sign(**key));
}

TEST_F(ATokenThatTakesNothing, BecauseItGivesNoWritingSessionsSaysSo) {
  device_.tap().fail_always("C_GenerateKeyPair", CKR_TOKEN_WRITE_PROTECTED);
  const auto key = token_->create_key({});
  EXPECT_EQ(code_of(key), Errc::token_read_only) << told(key);
}

TEST_F(ATokenThatTakesNothing, BecauseItIsFullSaysSo) {
  const std::size_t before = device_.objects();
  device_.tap().fail_always("C_GenerateKeyPair", CKR_DEVICE_MEMORY);
  const auto key = token_->create_key({});
  EXPECT_EQ(code_of(key), Errc::token_full) << told(key);
  if (!key) {
    EXPECT_EQ(key.error().retry, Retry::after_operator);
  }
  device_.tap().heal();
  EXPECT_EQ(device_.objects(), before);
  EXPECT_TRUE(create());
}

}  // namespace
}  // namespace devid::test
