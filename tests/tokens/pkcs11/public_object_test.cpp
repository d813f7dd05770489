#include "tokens/pkcs11/public_object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <array>
#include <span>

#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid::pkcs11 {
namespace {

Bytes bytes_of(CK_ULONG number) {
  const auto bytes = std::as_bytes(std::span(&number, 1));
  return {bytes.begin(), bytes.end()};
}

Bytes point_of(EVP_PKEY* key) {
  std::array<unsigned char, 256> point{};
  std::size_t size = 0;
  EXPECT_EQ(EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size(), &size), 1);
  return to_bytes(point.data(), size);
}

/// In its OCTET STRING.
Bytes wrapped(const Bytes& point) {
  Bytes der{std::byte{0x04}};
  if (point.size() > 127) der.push_back(std::byte{0x81});
  der.push_back(static_cast<std::byte>(point.size()));
  der.insert(der.end(), point.begin(), point.end());
  return der;
}

Attributes ec_attributes(KeyAlgorithm algorithm, Bytes point) {
  Attributes attributes;
  attributes.set(CKA_KEY_TYPE, bytes_of(CKK_EC));
  attributes.set(CKA_EC_PARAMS, to_bytes(curve_oid(algorithm)));
  attributes.set(CKA_EC_POINT, std::move(point));
  return attributes;
}

TEST(AnEcPublicKeyObject, IsReadWithItsPointWrappedOrBare) {
  for (const auto& [algorithm, curve] :
       {std::pair{KeyAlgorithm::ec_p256, "P-256"}, std::pair{KeyAlgorithm::ec_p384, "P-384"},
        std::pair{KeyAlgorithm::ec_p521, "P-521"}}) {
    const Pkey key(EVP_EC_gen(curve));
    const auto expected = public_key_of(key.get());
    ASSERT_TRUE(expected);
    const Bytes point = point_of(key.get());
    for (const Bytes& form : {point, wrapped(point)}) {
      const auto read = public_key_in(ec_attributes(algorithm, form));
      ASSERT_TRUE(read) << curve << ": " << read.error().sentence();
      EXPECT_EQ(*read, *expected);
    }
  }
}

TEST(AnEcPublicKeyObject, WithAPointThatIsNoneIsRefused) {
  const Pkey key(EVP_EC_gen("P-256"));
  const Bytes point = point_of(key.get());
  Bytes off_the_curve = point;
  off_the_curve.back() ^= std::byte{1};
  Bytes longer = wrapped(point);
  longer.push_back(std::byte{0});
  Bytes compressed(point.begin(), point.begin() + 33);
  compressed.front() = std::byte{2};
  for (const Bytes& bad : {Bytes{}, Bytes(65), Bytes(3000, std::byte{4}), off_the_curve, wrapped(off_the_curve), longer,
                           compressed, wrapped(compressed), wrapped(wrapped(point))}) {
    const auto read = public_key_in(ec_attributes(KeyAlgorithm::ec_p256, bad));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Errc::token_wrong_key) << bad.size();
  }
  EXPECT_FALSE(public_key_in(ec_attributes(KeyAlgorithm::ec_p384, point)));
}

TEST(APublicKeyObject, OfAnotherKindIsUnsupported) {
  Attributes curve = ec_attributes(KeyAlgorithm::ec_p256, Bytes(65));
  curve.set(CKA_EC_PARAMS, Bytes(9));
  EXPECT_EQ(public_key_in(curve).error().code, Errc::token_unsupported);
  Attributes type;
  type.set(CKA_KEY_TYPE, bytes_of(CKK_DSA));
  EXPECT_EQ(public_key_in(type).error().code, Errc::token_unsupported);
  EXPECT_EQ(public_key_in({}).error().code, Errc::token_wrong_key);
  type.set(CKA_KEY_TYPE, Bytes(3));
  EXPECT_EQ(public_key_in(type).error().code, Errc::token_wrong_key);
}

TEST(AnRsaPublicKeyObject, IsReadFromModulusAndExponent) {
  const Pkey key(EVP_RSA_gen(2048));
  BIGNUM* raw = nullptr;
  ASSERT_EQ(EVP_PKEY_get_bn_param(key.get(), OSSL_PKEY_PARAM_RSA_N, &raw), 1);
  const Owned<BIGNUM, BN_free> n(raw);
  Bytes modulus(256);
  BN_bn2bin(raw, as_uchar(std::span(modulus)));
  Attributes attributes;
  attributes.set(CKA_KEY_TYPE, bytes_of(CKK_RSA));
  attributes.set(CKA_MODULUS, modulus);
  EXPECT_EQ(public_key_in(attributes).error().code, Errc::token_wrong_key);
  attributes.set(CKA_PUBLIC_EXPONENT, {std::byte{0}, std::byte{1}, std::byte{0}, std::byte{1}});
  const auto read = public_key_in(attributes);
  ASSERT_TRUE(read) << read.error().sentence();
  EXPECT_EQ(*read, public_key_of(key.get()).value());
  attributes.set(CKA_PUBLIC_EXPONENT, Bytes(9, std::byte{0xff}));
  EXPECT_EQ(public_key_in(attributes).error().code, Errc::token_unsupported);
}

}  // namespace
}  // namespace devid::pkcs11
