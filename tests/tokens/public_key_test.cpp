#include "tokens/public_key.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <string>

namespace devid {
namespace {

using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

Pkey ec_key(const char* curve) { return Pkey(EVP_EC_gen(curve)); }
Pkey rsa_key(unsigned bits) { return Pkey(EVP_RSA_gen(bits)); }

Bytes number(EVP_PKEY* key, const char* name, int size) {
  BIGNUM* value = nullptr;
  EXPECT_EQ(EVP_PKEY_get_bn_param(key, name, &value), 1);
  Bytes bytes(static_cast<std::size_t>(size));
  EXPECT_EQ(BN_bn2binpad(value, as_uchar(std::span(bytes)), size), size);
  BN_free(value);
  return bytes;
}

BytesView without_leading_zeros(BytesView bytes) {
  while (!bytes.empty() && bytes.front() == std::byte{0}) bytes = bytes.subspan(1);
  return bytes;
}

/// What the library itself signs, in the form that a PrivateKey returns.
Bytes signature_by(EVP_PKEY* key, BytesView digest, SignatureScheme scheme, std::size_t half,
                   int salt = RSA_PSS_SALTLEN_DIGEST) {
  const std::array names{"SHA256", "SHA384", "SHA512"};
  const EVP_MD* hash = EVP_get_digestbyname(names.at(static_cast<std::size_t>(scheme.digest)));
  const PkeyContext context(EVP_PKEY_CTX_new(key, nullptr));
  bool good = EVP_PKEY_sign_init(context.get()) > 0 && EVP_PKEY_CTX_set_signature_md(context.get(), hash) > 0;
  if (scheme.padding == Padding::rsa_pss) {
    good = good && EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_PSS_PADDING) > 0 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(context.get(), salt) > 0;
  }
  Bytes signature(1024);
  std::size_t size = signature.size();
  good =
      good && EVP_PKEY_sign(context.get(), as_uchar(std::span(signature)), &size, as_uchar(digest), digest.size()) > 0;
  EXPECT_TRUE(good) << openssl_reason();
  signature.resize(size);
  if (scheme.padding != Padding::none) return signature;
  auto raw = ecdsa_from_der(signature, half);
  EXPECT_TRUE(raw) << raw.error().sentence();
  return raw ? *raw : Bytes{};
}

struct Case {
  KeyAlgorithm algorithm;
  SignatureScheme scheme;
};

std::string name_of(const Case& value) {
  std::string name(algorithm_name(value.algorithm));
  name.append("_").append(std::to_string(8 * digest_size(value.scheme.digest)));
  if (value.scheme.padding == Padding::rsa_pkcs1) name += "_pkcs1";
  if (value.scheme.padding == Padding::rsa_pss) name += "_pss";
  std::ranges::replace(name, '-', '_');
  return name;
}

void PrintTo(const Case& value, std::ostream* out) { *out << name_of(value); }  // NOLINT: the name is GoogleTest's

Pkey key_of(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ec_p256: return ec_key("P-256");
    case KeyAlgorithm::ec_p384: return ec_key("P-384");
    case KeyAlgorithm::ec_p521: return ec_key("P-521");
    case KeyAlgorithm::rsa_2048: return rsa_key(2048);
    case KeyAlgorithm::rsa_3072: return rsa_key(3072);
    case KeyAlgorithm::rsa_4096: return rsa_key(4096);
  }
  return nullptr;
}

class ASignature : public testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(key_);
    auto known = public_key_of(key_.get());
    ASSERT_TRUE(known) << known.error().sentence();
    public_key_ = *known;
    ASSERT_EQ(public_key_.algorithm, GetParam().algorithm);
    digest_ = Bytes(digest_size(GetParam().scheme.digest), std::byte{0x5a});
    signature_ = signature_by(key_.get(), digest_, GetParam().scheme, key_bytes(GetParam().algorithm));
  }

  Pkey key_ = key_of(GetParam().algorithm);
  PublicKey public_key_;
  Bytes digest_;
  Bytes signature_;
};

TEST_P(ASignature, VerifiesWithItsKey) {
  const auto verified = verify(public_key_, digest_, GetParam().scheme, signature_);
  EXPECT_TRUE(verified) << verified.error().sentence();
}

TEST_P(ASignature, DoesNotVerifyOverAnotherDigest) {
  digest_.front() ^= std::byte{1};  // the back one may be cut off: ECDSA takes the order's length
  const auto verified = verify(public_key_, digest_, GetParam().scheme, signature_);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, Errc::token_wrong_key);
  EXPECT_FALSE(verified.error().hint.empty());
}

TEST_P(ASignature, DoesNotVerifyWithAnotherKey) {
  const Pkey other = key_of(GetParam().algorithm);
  const auto verified = verify(public_key_of(other.get()).value(), digest_, GetParam().scheme, signature_);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, Errc::token_wrong_key);
}

TEST_P(ASignature, DoesNotVerifyWhenItIsCutOrTurnedIntoZeros) {
  EXPECT_FALSE(verify(public_key_, digest_, GetParam().scheme, BytesView(signature_).first(signature_.size() - 1)));
  EXPECT_FALSE(verify(public_key_, digest_, GetParam().scheme, {}));
  EXPECT_FALSE(verify(public_key_, digest_, GetParam().scheme, Bytes(signature_.size())));
}

TEST_P(ASignature, IsRefusedWithADigestOfAWrongLength) {
  const auto verified =
      verify(public_key_, BytesView(digest_).first(digest_.size() - 1), GetParam().scheme, signature_);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, Errc::usage);
}

TEST_P(ASignature, IsRefusedUnderASchemeOfAnotherKindOfKey) {
  SignatureScheme scheme = GetParam().scheme;
  scheme.padding = scheme.padding == Padding::none ? Padding::rsa_pkcs1 : Padding::none;
  const auto verified = verify(public_key_, digest_, scheme, signature_);
  ASSERT_FALSE(verified);
  EXPECT_EQ(verified.error().code, Errc::usage);
}

INSTANTIATE_TEST_SUITE_P(OfEveryKind, ASignature,
                         testing::Values(Case{KeyAlgorithm::ec_p256, {Digest::sha256, Padding::none}},
                                         Case{KeyAlgorithm::ec_p256, {Digest::sha512, Padding::none}},
                                         Case{KeyAlgorithm::ec_p384, {Digest::sha384, Padding::none}},
                                         Case{KeyAlgorithm::ec_p521, {Digest::sha512, Padding::none}},
                                         Case{KeyAlgorithm::rsa_2048, {Digest::sha256, Padding::rsa_pkcs1}},
                                         Case{KeyAlgorithm::rsa_2048, {Digest::sha512, Padding::rsa_pss}},
                                         Case{KeyAlgorithm::rsa_3072, {Digest::sha384, Padding::rsa_pss}},
                                         Case{KeyAlgorithm::rsa_4096, {Digest::sha512, Padding::rsa_pkcs1}}),
                         [](const auto& of) { return name_of(of.param); });

TEST(APssSignature, WithASaltThatIsNotAsLongAsTheDigestDoesNotVerify) {
  const Pkey key = rsa_key(2048);
  const Bytes digest(32, std::byte{0x5a});
  const SignatureScheme scheme{.digest = Digest::sha256, .padding = Padding::rsa_pss};
  for (const int salt : {0, 20, RSA_PSS_SALTLEN_MAX}) {
    const auto verified =
        verify(public_key_of(key.get()).value(), digest, scheme, signature_by(key.get(), digest, scheme, 0, salt));
    ASSERT_FALSE(verified) << salt;
    EXPECT_EQ(verified.error().code, Errc::token_wrong_key);
  }
}

TEST(APublicKey, IsTheSameByItsCoordinatesAndByItsHandle) {
  const Pkey key = ec_key("P-384");
  const auto built = ec_public_key(KeyAlgorithm::ec_p384, number(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, 48),
                                   number(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 48));
  ASSERT_TRUE(built) << built.error().sentence();
  EXPECT_EQ(*built, public_key_of(key.get()).value());
  EXPECT_EQ(EVP_PKEY_eq(to_evp_public(*built).value().get(), key.get()), 1);
}

TEST(APublicKey, IsTheSameByItsModulusAndByItsHandle) {
  const Pkey key = rsa_key(2048);
  Bytes modulus = number(key.get(), OSSL_PKEY_PARAM_RSA_N, 256);
  const auto known = public_key_of(key.get());
  EXPECT_EQ(rsa_public_key(modulus, 65537).value(), *known);
  modulus.insert(modulus.begin(), std::byte{0});
  EXPECT_EQ(rsa_public_key(modulus, 65537).value(), *known) << "a leading zero changes nothing";
}

TEST(APublicKey, PadsCoordinatesThatATokenShortened) {
  for (int attempt = 0; attempt < 20000; ++attempt) {
    const Pkey key = ec_key("P-256");
    const Bytes x = number(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32);
    const Bytes y = number(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32);
    if (x.front() != std::byte{0} && y.front() != std::byte{0}) continue;
    const auto built = ec_public_key(KeyAlgorithm::ec_p256, without_leading_zeros(x), without_leading_zeros(y));
    ASSERT_TRUE(built) << built.error().sentence();
    EXPECT_EQ(*built, public_key_of(key.get()).value());
    return;
  }
  FAIL() << "no key with a leading zero in 20000";
}

TEST(APublicKey, OfAPointOffTheCurveIsRefused) {
  const Pkey key = ec_key("P-256");
  const Bytes x = number(key.get(), OSSL_PKEY_PARAM_EC_PUB_X, 32);
  Bytes y = number(key.get(), OSSL_PKEY_PARAM_EC_PUB_Y, 32);
  y.back() ^= std::byte{1};
  const auto off = ec_public_key(KeyAlgorithm::ec_p256, x, y);
  ASSERT_FALSE(off);
  EXPECT_EQ(off.error().code, Errc::token_wrong_key);
  EXPECT_FALSE(off.error().reason.empty());
  EXPECT_EQ(ec_public_key(KeyAlgorithm::ec_p256, {}, {}).error().code, Errc::token_wrong_key);
  EXPECT_EQ(ec_public_key(KeyAlgorithm::ec_p256, Bytes(33), y).error().code, Errc::token_wrong_key);
  EXPECT_EQ(ec_public_key(KeyAlgorithm::ec_p384, x, y).error().code, Errc::token_wrong_key) << "of another curve";
}

TEST(APublicKey, WithACompressedPointComesOutUncompressed) {
  const Pkey key = ec_key("P-256");
  const auto known = public_key_of(key.get());
  ASSERT_EQ(EVP_PKEY_set_utf8_string_param(key.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT, "compressed"), 1);
  ASSERT_LT(i2d_PUBKEY(key.get(), nullptr), static_cast<int>(known->spki.size()));
  EXPECT_EQ(public_key_of(key.get()).value(), *known);
}

void expect_unsupported(EVP_PKEY* key) {
  const auto refused = public_key_of(key);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Errc::token_unsupported);
  EXPECT_FALSE(refused.error().hint.empty());
}

TEST(APublicKey, OfAnAlgorithmThatDevidDoesNotUseIsRefused) {
  expect_unsupported(ec_key("P-224").get());
  expect_unsupported(Pkey(EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")).get());
  expect_unsupported(rsa_key(1024).get());
  expect_unsupported(nullptr);
}

TEST(APublicKey, OfAnRsaModulusOfAnotherLengthOrABadExponentIsRefused) {
  Bytes modulus(256, std::byte{0xff});
  EXPECT_TRUE(rsa_public_key(modulus, 65537));
  EXPECT_EQ(rsa_public_key(modulus, 65536).error().code, Errc::token_unsupported);
  EXPECT_EQ(rsa_public_key(modulus, 1).error().code, Errc::token_unsupported);
  modulus.front() = std::byte{0x7f};
  EXPECT_EQ(rsa_public_key(modulus, 65537).error().code, Errc::token_unsupported) << "2047 bits";
  EXPECT_EQ(rsa_public_key({}, 65537).error().code, Errc::token_unsupported);
  EXPECT_EQ(rsa_public_key(Bytes(320, std::byte{0xff}), 65537).error().code, Errc::token_unsupported);
}

TEST(APublicKey, ThatIsNotOneSubjectPublicKeyInfoIsRefused) {
  const Pkey key = ec_key("P-256");
  PublicKey known = public_key_of(key.get()).value();
  known.spki.push_back(std::byte{0});
  EXPECT_EQ(to_evp_public(known).error().code, Errc::token_wrong_key);
  known.spki.resize(40);
  EXPECT_EQ(to_evp_public(known).error().code, Errc::token_wrong_key);
  known.spki.clear();
  EXPECT_EQ(to_evp_public(known).error().code, Errc::token_wrong_key);
  known.spki.resize(100000);
  EXPECT_EQ(to_evp_public(known).error().code, Errc::token_wrong_key);
}

Bytes octets(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

TEST(AnEcdsaSignature, HasTheDerOfRfc3279) {
  // r = 0x80 (needs a sign octet), s = 1 (loses its leading zeros)
  const Bytes raw = octets({0x00, 0x80, 0x00, 0x01});
  const Bytes der = octets({0x30, 0x07, 0x02, 0x02, 0x00, 0x80, 0x02, 0x01, 0x01});
  EXPECT_EQ(ecdsa_to_der(raw).value(), der);
  EXPECT_EQ(ecdsa_from_der(der, 2).value(), raw);
  EXPECT_EQ(ecdsa_from_der(der, 1).value(), octets({0x80, 0x01}));
}

TEST(AnEcdsaSignature, ThatIsNotTwoHalvesIsRefused) {
  EXPECT_EQ(ecdsa_to_der({}).error().code, Errc::token_failed);
  EXPECT_EQ(ecdsa_to_der(Bytes(63)).error().code, Errc::token_failed);
  EXPECT_EQ(ecdsa_to_der(Bytes(100000)).error().code, Errc::token_failed);
}

TEST(AnEcdsaSignature, WithBadDerIsRefused) {
  const Bytes bad[] = {
      {},
      octets({0x30}),
      octets({0x30, 0x03, 0x02, 0x01, 0x01}),                                      // one half is missing
      octets({0x30, 0x06, 0x02, 0x01, 0x01, 0x02, 0x01, 0x01, 0x00}),              // something after it
      octets({0x30, 0x06, 0x02, 0x01, 0xff, 0x02, 0x01, 0x01}),                    // r is negative
      octets({0x30, 0x08, 0x02, 0x03, 0x01, 0x00, 0x00, 0x02, 0x01, 0x01}),        // r is longer than a half
      octets({0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0x02, 0x01, 0x01, 0x02, 0x01}),  // a length beyond the end
      Bytes(100000, std::byte{0x30}),
  };
  for (const Bytes& der : bad) {
    const auto refused = ecdsa_from_der(der, 2);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Errc::token_failed);
  }
}

}  // namespace
}  // namespace devid
