#include "tokens/tpm/signature.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <span>

#include "base/openssl.h"
#include "tokens/public_key.h"
#include "tokens/tpm/key_template.h"

namespace devid::tpm {
namespace {

/// An RSA key outside any token, to make signatures with that a TPM might make.
class SoftwareKey {
 public:
  SoftwareKey() : key_(EVP_RSA_gen(2048)) {}
  [[nodiscard]] PublicKey public_key() const { return *public_key_of(key_.get()); }
  [[nodiscard]] Bytes sign_pss(const Bytes& digest, int salt_length) const {
    const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> ctx(EVP_PKEY_CTX_new(key_.get(), nullptr));
    Bytes signature(256);
    std::size_t size = signature.size();
    EXPECT_EQ(EVP_PKEY_sign_init(ctx.get()), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_PSS_PADDING), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_signature_md(ctx.get(), EVP_sha256()), 1);
    EXPECT_EQ(EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx.get(), salt_length), 1);
    EXPECT_EQ(
        EVP_PKEY_sign(ctx.get(), as_uchar(std::span(signature)), &size, as_uchar(BytesView(digest)), digest.size()), 1);
    return signature;
  }

 private:
  Pkey key_;
};

TPMT_PUBLIC free_key(KeyAlgorithm algorithm) { return signing_key_template(algorithm).publicArea; }

TEST(AScheme, FitsTheKindOfKey) {
  const auto ecdsa = scheme_for(free_key(KeyAlgorithm::ec_p256), {.digest = Digest::sha256});
  ASSERT_TRUE(ecdsa);
  EXPECT_EQ(ecdsa->scheme, TPM2_ALG_ECDSA);
  EXPECT_EQ(ecdsa->details.any.hashAlg, TPM2_ALG_SHA256);
  const auto pss =
      scheme_for(free_key(KeyAlgorithm::rsa_2048), {.digest = Digest::sha512, .padding = Padding::rsa_pss});
  ASSERT_TRUE(pss);
  EXPECT_EQ(pss->scheme, TPM2_ALG_RSAPSS);
  EXPECT_EQ(pss->details.any.hashAlg, TPM2_ALG_SHA512);
  EXPECT_FALSE(scheme_for(free_key(KeyAlgorithm::ec_p256), {.padding = Padding::rsa_pkcs1}));
  EXPECT_FALSE(scheme_for(free_key(KeyAlgorithm::rsa_2048), {.padding = Padding::none}));
}

TEST(AScheme, ThatWasFixedIsTheOnlyOne) {
  TPMT_PUBLIC area = free_key(KeyAlgorithm::rsa_2048);
  area.parameters.rsaDetail.scheme.scheme = TPM2_ALG_RSASSA;
  area.parameters.rsaDetail.scheme.details.rsassa.hashAlg = TPM2_ALG_SHA256;
  EXPECT_TRUE(scheme_for(area, {.digest = Digest::sha256, .padding = Padding::rsa_pkcs1}));
  EXPECT_FALSE(scheme_for(area, {.digest = Digest::sha384, .padding = Padding::rsa_pkcs1}));
  const auto pss = scheme_for(area, {.digest = Digest::sha256, .padding = Padding::rsa_pss});
  ASSERT_FALSE(pss);
  EXPECT_EQ(pss.error().code, Errc::token_unsupported);
}

TEST(ASignature, OfAnEcKeyIsPaddedToTheLengthOfTheOrder) {
  TPMT_SIGNATURE signature{.sigAlg = TPM2_ALG_ECDSA};
  signature.signature.ecdsa.signatureR.size = 1;
  signature.signature.ecdsa.signatureR.buffer[0] = 0x11;
  signature.signature.ecdsa.signatureS.size = 32;
  signature.signature.ecdsa.signatureS.buffer[0] = 0x22;
  const auto bytes = signature_bytes(signature, KeyAlgorithm::ec_p256);
  ASSERT_TRUE(bytes);
  ASSERT_EQ(bytes->size(), 64U);
  EXPECT_EQ((*bytes)[31], std::byte{0x11});
  EXPECT_EQ((*bytes)[32], std::byte{0x22});
  EXPECT_EQ(signature_bytes(signature, KeyAlgorithm::ec_p384)->size(), 96U);
}

TEST(ASignature, OfAnotherKindOrLengthIsAnError) {
  TPMT_SIGNATURE signature{.sigAlg = TPM2_ALG_ECDSA};
  signature.signature.ecdsa.signatureR.size = 33;
  EXPECT_FALSE(signature_bytes(signature, KeyAlgorithm::ec_p256));
  EXPECT_FALSE(signature_bytes(signature, KeyAlgorithm::rsa_2048));
  TPMT_SIGNATURE rsa{.sigAlg = TPM2_ALG_RSASSA};
  rsa.signature.rsassa.sig.size = 257;
  EXPECT_FALSE(signature_bytes(rsa, KeyAlgorithm::rsa_2048));
  EXPECT_FALSE(signature_bytes(rsa, KeyAlgorithm::ec_p256));
}

TEST(ACheckedSignature, IsByTheKeyItself) {
  const SoftwareKey key;
  const SoftwareKey other;
  const Bytes digest(32, std::byte{0x42});
  const SignatureScheme scheme{.digest = Digest::sha256, .padding = Padding::rsa_pss};
  EXPECT_TRUE(check_signature(key.public_key(), digest, scheme, key.sign_pss(digest, RSA_PSS_SALTLEN_DIGEST)));
  const auto wrong = check_signature(other.public_key(), digest, scheme, key.sign_pss(digest, RSA_PSS_SALTLEN_DIGEST));
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Errc::token_wrong_key);
}

TEST(ACheckedSignature, WithAnotherSaltIsTheRightKeyOnATpmOfNoUseForTls) {
  const SoftwareKey key;
  const Bytes digest(32, std::byte{0x42});
  const auto checked =
      check_signature(key.public_key(), digest, {.digest = Digest::sha256, .padding = Padding::rsa_pss},
                      key.sign_pss(digest, RSA_PSS_SALTLEN_MAX));
  ASSERT_FALSE(checked);
  EXPECT_EQ(checked.error().code, Errc::token_unsupported);
}

}  // namespace
}  // namespace devid::tpm
