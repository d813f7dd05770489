#include "tokens/openssl/signing_key.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <functional>
#include <string>

#include "tests/support/command.h"
#include "tests/support/fake_token.h"
#include "tokens/public_key.h"

namespace devid::test {
namespace {

using testing::HasSubstr;
using Request = Owned<X509_REQ, X509_REQ_free>;
using MdContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;
using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

constexpr std::string_view data = "what is to be signed";

bool set_pss(EVP_PKEY_CTX* context, int salt) {
  return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
         EVP_PKEY_CTX_set_rsa_pss_saltlen(context, salt) > 0;
}

struct Way {
  const char* digest = nullptr;  ///< the key's own default
  bool pss = false;
};

/// Starts to sign. Null if that is refused.
MdContext begin(EVP_PKEY* key, Way way, EVP_PKEY_CTX** context) {
  MdContext signing(EVP_MD_CTX_new());
  ERR_clear_error();
  if (EVP_DigestSignInit_ex(signing.get(), context, way.digest, nullptr, nullptr, key, nullptr) <= 0) return nullptr;
  if (way.pss && !set_pss(*context, RSA_PSS_SALTLEN_DIGEST)) return nullptr;
  return signing;
}

/// An empty signature if it failed; why is in OpenSSL's queue.
Bytes sign(EVP_PKEY* key, Way way = {}) {
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key, way, &context);
  Bytes signature(1024);
  std::size_t size = signature.size();
  if (!signing || EVP_DigestSign(signing.get(), as_uchar(std::span(signature)), &size, as_uchar(as_bytes(data)),
                                 data.size()) <= 0) {
    return {};
  }
  signature.resize(size);
  return signature;
}

bool verifies(EVP_PKEY* key, Way way, BytesView signature) {
  const MdContext verifying(EVP_MD_CTX_new());
  EVP_PKEY_CTX* context = nullptr;
  if (EVP_DigestVerifyInit_ex(verifying.get(), &context, way.digest, nullptr, nullptr, key, nullptr) <= 0) return false;
  if (way.pss && !set_pss(context, RSA_PSS_SALTLEN_DIGEST)) return false;
  return EVP_DigestVerify(verifying.get(), as_uchar(signature), signature.size(), as_uchar(as_bytes(data)),
                          data.size()) == 1;
}

std::string signed_request(EVP_PKEY* key, Way way) {
  const Request request(X509_REQ_new());
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key, way, &context);
  const Bio bio(BIO_new(BIO_s_mem()));
  const bool good = signing && X509_REQ_set_pubkey(request.get(), key) == 1 &&
                    X509_REQ_sign_ctx(request.get(), signing.get()) > 0 &&
                    PEM_write_bio_X509_REQ(bio.get(), request.get()) == 1;
  EXPECT_TRUE(good) << openssl_reason();
  return std::string(as_text(bio_bytes(bio.get())));
}

class ASigningKey : public testing::Test {
 protected:
  void use_key(KeyAlgorithm algorithm) {
    auto made = token_.create_key({.algorithm = algorithm});
    ASSERT_TRUE(made) << made.error().sentence();
    key_.reset();
    private_key_ = std::move(*made);
    auto wrapped = SigningKey::wrap(*private_key_);
    ASSERT_TRUE(wrapped) << wrapped.error().sentence();
    key_ = std::move(*wrapped);
    verifier_ = to_evp_public(private_key_->public_key()).value();
  }

  FakeHardware hardware_;
  FakeToken token_{hardware_};
  std::unique_ptr<PrivateKey> private_key_;
  std::unique_ptr<SigningKey> key_;
  Pkey verifier_;  ///< the same key, known to the default provider only
};

struct Case {
  KeyAlgorithm algorithm;
  Way way;
  const char* signature_algorithm;  ///< as `openssl req -text` names it
};

std::string name_of(const Case& value) {
  std::string name(algorithm_name(value.algorithm));
  name.append("_").append(value.way.digest == nullptr ? "default" : value.way.digest);
  if (value.way.pss) name += "_pss";
  std::ranges::replace(name, '-', '_');
  return name;
}

void PrintTo(const Case& value, std::ostream* out) { *out << name_of(value); }  // NOLINT: the name is GoogleTest's

class ASigningKeyOfAKind : public ASigningKey, public testing::WithParamInterface<Case> {};

TEST_P(ASigningKeyOfAKind, SignsRequestsThatOpensslVerifies) {
  use_key(GetParam().algorithm);
  const std::string request = signed_request(key_->get(), GetParam().way);
  EXPECT_EQ(key_->signatures(), 1U);
  EXPECT_EQ(hardware_.count(Operation::sign), 1U);
  const Outcome outcome = run({.argv = {"openssl", "req", "-verify", "-noout", "-text"}, .input = request});
  EXPECT_TRUE(outcome.ok()) << outcome.errors;
  EXPECT_THAT(outcome.errors, HasSubstr("verify OK"));
  EXPECT_THAT(outcome.output, HasSubstr(GetParam().signature_algorithm));
}

TEST_P(ASigningKeyOfAKind, SignsWhatTheDefaultProviderVerifies) {
  use_key(GetParam().algorithm);
  Way way = GetParam().way;
  const Bytes signature = sign(key_->get(), way);
  ASSERT_FALSE(signature.empty()) << openssl_reason();
  if (way.digest == nullptr) way.digest = GetParam().algorithm == KeyAlgorithm::ec_p384 ? "SHA384" : "SHA256";
  EXPECT_TRUE(verifies(verifier_.get(), way, signature)) << openssl_reason();
  EXPECT_EQ(hardware_.count(Operation::sign), 1U);
}

INSTANTIATE_TEST_SUITE_P(OfEveryKind, ASigningKeyOfAKind,
                         testing::Values(Case{KeyAlgorithm::ec_p256, {}, "ecdsa-with-SHA256"},
                                         Case{KeyAlgorithm::ec_p256, {.digest = "SHA512"}, "ecdsa-with-SHA512"},
                                         Case{KeyAlgorithm::ec_p384, {}, "ecdsa-with-SHA384"},
                                         Case{KeyAlgorithm::rsa_2048, {}, "sha256WithRSAEncryption"},
                                         Case{KeyAlgorithm::rsa_2048, {.digest = "SHA384"}, "sha384WithRSAEncryption"},
                                         Case{KeyAlgorithm::rsa_2048, {.digest = "SHA256", .pss = true}, "rsassaPss"},
                                         Case{KeyAlgorithm::rsa_3072, {.digest = "SHA512"}, "sha512WithRSAEncryption"},
                                         Case{KeyAlgorithm::rsa_3072, {.digest = "SHA384", .pss = true}, "rsassaPss"}),
                         [](const auto& of) { return name_of(of.param); });

TEST_F(ASigningKey, ShowsItsPublicPart) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    use_key(algorithm);
    EXPECT_EQ(public_key_of(key_->get()).value(), private_key_->public_key());
    EXPECT_EQ(key_->public_key(), private_key_->public_key());
    EXPECT_EQ(EVP_PKEY_eq(key_->get(), verifier_.get()), 1);
    EXPECT_EQ(EVP_PKEY_eq(verifier_.get(), key_->get()), 1);
    EXPECT_EQ(EVP_PKEY_get_bits(key_->get()), EVP_PKEY_get_bits(verifier_.get()));
    EXPECT_EQ(EVP_PKEY_get_size(key_->get()), EVP_PKEY_get_size(verifier_.get()));
  }
  EXPECT_EQ(hardware_.count(Operation::sign), 0U);
}

TEST_F(ASigningKey, IsEqualToAnotherOneOfTheSameKeyOnly) {
  use_key(KeyAlgorithm::ec_p256);
  const auto same = SigningKey::wrap(*private_key_).value();
  EXPECT_EQ(EVP_PKEY_eq(key_->get(), same->get()), 1);
  const auto other_private = token_.create_key({}).value();
  const auto other = SigningKey::wrap(*other_private).value();
  EXPECT_EQ(EVP_PKEY_eq(key_->get(), other->get()), 0);
}

/// Every way out that OpenSSL has for a private key.
std::vector<std::pair<std::string, std::function<bool(EVP_PKEY*)>>> ways_out() {
  using Pkcs8 = Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free>;
  const auto into_bio = [](auto write) {
    return [write](EVP_PKEY* key) {
      const Bio bio(BIO_new(BIO_s_mem()));
      return write(bio.get(), key) > 0 || !bio_bytes(bio.get()).empty();
    };
  };
  const auto number = [](const char* name) {
    return [name](EVP_PKEY* key) {
      BIGNUM* value = nullptr;
      const bool got = EVP_PKEY_get_bn_param(key, name, &value) > 0;
      BN_clear_free(value);
      return got;
    };
  };
  return {
      {"i2d_PrivateKey", [](EVP_PKEY* key) { return i2d_PrivateKey(key, nullptr) > 0; }},
      {"EVP_PKEY2PKCS8", [](EVP_PKEY* key) { return Pkcs8(EVP_PKEY2PKCS8(key)) != nullptr; }},
      {"PEM_write_bio_PrivateKey", into_bio([](BIO* bio, EVP_PKEY* key) {
         return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
       })},
      {"PEM_write_bio_PrivateKey_traditional", into_bio([](BIO* bio, EVP_PKEY* key) {
         return PEM_write_bio_PrivateKey_traditional(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
       })},
      {"EVP_PKEY_print_private",
       into_bio([](BIO* bio, EVP_PKEY* key) { return EVP_PKEY_print_private(bio, key, 0, nullptr); })},
      {"EVP_PKEY_todata",
       [](EVP_PKEY* key) {
         OSSL_PARAM* params = nullptr;
         const bool got = EVP_PKEY_todata(key, EVP_PKEY_KEYPAIR, &params) > 0;
         OSSL_PARAM_free(params);
         return got;
       }},
      {"the parameter priv", number(OSSL_PKEY_PARAM_PRIV_KEY)},
      {"the parameter d", number(OSSL_PKEY_PARAM_RSA_D)},
      {"the parameter rsa-factor1", number(OSSL_PKEY_PARAM_RSA_FACTOR1)},
  };
}

TEST_F(ASigningKey, DoesNotGiveThePrivateKeyAway) {
  const Pkey plain_ec(EVP_EC_gen("P-256"));
  const Pkey plain_rsa(EVP_RSA_gen(2048));
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    use_key(algorithm);
    EVP_PKEY* plain = is_rsa(algorithm) ? plain_rsa.get() : plain_ec.get();
    int open_ways = 0;
    for (const auto& [name, leads_out] : ways_out()) {
      EXPECT_FALSE(leads_out(key_->get())) << name;
      if (leads_out(plain)) ++open_ways;
    }
    EXPECT_GE(open_ways, 7) << "these ways would not lead out of any key";
  }
  ERR_clear_error();
}

TEST_F(ASigningKey, RefusesASaltThatIsNotAsLongAsTheDigest) {
  use_key(KeyAlgorithm::rsa_2048);
  for (const int salt : {0, 20, 33, RSA_PSS_SALTLEN_MAX, RSA_PSS_SALTLEN_AUTO}) {
    EVP_PKEY_CTX* context = nullptr;
    const MdContext signing = begin(key_->get(), {.digest = "SHA256"}, &context);
    ASSERT_TRUE(signing) << openssl_reason();
    EXPECT_FALSE(set_pss(context, salt)) << salt;
    EXPECT_THAT(openssl_reason(), HasSubstr("as long as the digest only (32 bytes)")) << salt;
  }
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key_->get(), {.digest = "SHA512"}, &context);
  EXPECT_TRUE(set_pss(context, 64)) << openssl_reason();
}

TEST_F(ASigningKey, RefusesOtherPaddings) {
  use_key(KeyAlgorithm::rsa_2048);
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key_->get(), {.digest = "SHA256"}, &context);
  for (const int padding : {RSA_NO_PADDING, RSA_X931_PADDING}) {
    EXPECT_LE(EVP_PKEY_CTX_set_rsa_padding(context, padding), 0);
    EXPECT_THAT(openssl_reason(), HasSubstr("PKCS#1 v1.5 or PSS"));
  }
}

TEST_F(ASigningKey, RefusesAnotherDigestForTheMask) {
  use_key(KeyAlgorithm::rsa_2048);
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key_->get(), {.digest = "SHA256", .pss = true}, &context);
  EXPECT_GT(EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha256()), 0) << openssl_reason();
  EXPECT_LE(EVP_PKEY_CTX_set_rsa_mgf1_md(context, EVP_sha384()), 0);
  EXPECT_THAT(openssl_reason(), HasSubstr("one digest"));
}

TEST_F(ASigningKey, RefusesOtherDigests) {
  use_key(KeyAlgorithm::ec_p256);
  for (const char* digest : {"SHA1", "MD5", "MD5-SHA1", "SHA224", "SHA3-256"}) {
    EXPECT_TRUE(sign(key_->get(), {.digest = digest}).empty()) << digest;
    EXPECT_THAT(openssl_reason(), HasSubstr("SHA-256, SHA-384 and SHA-512 only")) << digest;
  }
  EXPECT_EQ(hardware_.count(Operation::sign), 0U);
}

TEST_F(ASigningKey, DoesNothingButSign) {
  use_key(KeyAlgorithm::rsa_2048);
  const PkeyContext decrypting(EVP_PKEY_CTX_new(key_->get(), nullptr));
  EXPECT_LE(EVP_PKEY_decrypt_init(decrypting.get()), 0);
  use_key(KeyAlgorithm::ec_p256);
  const PkeyContext agreeing(EVP_PKEY_CTX_new(key_->get(), nullptr));
  EXPECT_LE(EVP_PKEY_derive_init(agreeing.get()), 0);
  ERR_clear_error();
}

TEST_F(ASigningKey, AsksTheTokenForNoSignatureToKnowItsLength) {
  use_key(KeyAlgorithm::ec_p256);
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key_->get(), {}, &context);
  std::size_t size = 0;
  EXPECT_EQ(EVP_DigestSign(signing.get(), nullptr, &size, as_uchar(as_bytes(data)), data.size()), 1);
  EXPECT_EQ(size, 72U);
  EXPECT_EQ(hardware_.count(Operation::sign), 0U);
}

TEST_F(ASigningKey, WritesNothingIntoABufferThatIsTooShort) {
  use_key(KeyAlgorithm::rsa_2048);
  EVP_PKEY_CTX* context = nullptr;
  const MdContext signing = begin(key_->get(), {}, &context);
  Bytes signature(255);
  std::size_t size = signature.size();
  EXPECT_LE(EVP_DigestSign(signing.get(), as_uchar(std::span(signature)), &size, as_uchar(as_bytes(data)), data.size()),
            0);
  EXPECT_EQ(signature, Bytes(255));
  EXPECT_EQ(hardware_.count(Operation::sign), 0U);
  ERR_clear_error();
}

TEST_F(ASigningKey, TellsWhyTheTokenFailedUntilItWorksAgain) {
  use_key(KeyAlgorithm::ec_p256);
  hardware_.fail_nth(1, {.code = Errc::token_unreachable, .retry = Retry::later, .what = "nobody answers"});
  EXPECT_TRUE(sign(key_->get()).empty());
  EXPECT_THAT(openssl_reason(), HasSubstr("nobody answers"));
  EXPECT_EQ(key_->signatures(), 0U);
  EXPECT_FALSE(sign(key_->get()).empty());
  EXPECT_EQ(key_->signatures(), 1U);
  EXPECT_FALSE(key_->take_error()) << "the last signature did not fail";
}

TEST_F(ASigningKey, ThatOpensslKeepsForLongerFailsToSignAndStillKnowsItsPublicPart) {
  use_key(KeyAlgorithm::ec_p256);
  const PublicKey known = private_key_->public_key();
  ASSERT_EQ(EVP_PKEY_up_ref(key_->get()), 1);
  const Pkey kept(key_->get());
  EVP_PKEY_CTX* context = nullptr;
  const MdContext begun = begin(kept.get(), {}, &context);
  key_.reset();
  private_key_.reset();

  EXPECT_TRUE(sign(kept.get()).empty());
  EXPECT_THAT(openssl_reason(), HasSubstr("after it was closed"));
  Bytes signature(256);
  std::size_t size = signature.size();
  EXPECT_LE(EVP_DigestSign(begun.get(), as_uchar(std::span(signature)), &size, as_uchar(as_bytes(data)), data.size()),
            0);
  EXPECT_EQ(public_key_of(kept.get()).value(), known);
  ERR_clear_error();
}

/// A token that is broken, or was tampered with: it returns what a signature cannot be.
class ABrokenKey final : public PrivateKey {
 public:
  ABrokenKey(PublicKey public_key, Bytes answer) : public_key_(std::move(public_key)), answer_(std::move(answer)) {}
  [[nodiscard]] const PublicKey& public_key() const override { return public_key_; }
  [[nodiscard]] std::string pem() const override { return {}; }
  Result<Bytes> sign(BytesView /*digest*/, SignatureScheme /*scheme*/) override { return answer_; }

 private:
  PublicKey public_key_;
  Bytes answer_;
};

TEST_F(ASigningKey, PassesOnNoSignatureOfAnImpossibleLength) {
  for (const KeyAlgorithm algorithm : {KeyAlgorithm::ec_p256, KeyAlgorithm::rsa_2048}) {
    use_key(algorithm);
    for (const std::size_t length : {0U, 62U, 63U, 96U, 250U, 257U, 512U, 100'000U}) {
      ABrokenKey broken(private_key_->public_key(), Bytes(length, std::byte{0xff}));
      const auto key = SigningKey::wrap(broken).value();
      EXPECT_TRUE(sign(key->get()).empty()) << length;
      EXPECT_EQ(key->take_error().value_or(Error{}).code, Errc::token_failed) << length;
    }
  }
  ERR_clear_error();
}

TEST_F(ASigningKey, IsNotMadeOfAPublicKeyThatCannotBeRead) {
  ABrokenKey broken({.algorithm = KeyAlgorithm::ec_p256, .spki = Bytes(91, std::byte{0x30})}, {});
  const auto key = SigningKey::wrap(broken);
  ASSERT_FALSE(key);
  EXPECT_FALSE(key.error().what.empty());
}

}  // namespace
}  // namespace devid::test
