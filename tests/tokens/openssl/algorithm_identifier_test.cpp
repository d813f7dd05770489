#include "tokens/openssl/algorithm_identifier.h"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace devid::provider {
namespace {

std::string hex(const Result<Bytes>& der) {
  constexpr std::string_view digits = "0123456789abcdef";
  if (!der) return der.error().sentence();
  std::string text;
  for (const std::byte octet : *der) {
    text += digits[std::to_integer<unsigned>(octet) >> 4U];
    text += digits[std::to_integer<unsigned>(octet) & 0xfU];
  }
  return text;
}

TEST(AnAlgorithmIdentifier, OfEcdsaHasNoParameters) {
  EXPECT_EQ(hex(algorithm_identifier({Digest::sha256, Padding::none})), "300a06082a8648ce3d040302");
  EXPECT_EQ(hex(algorithm_identifier({Digest::sha384, Padding::none})), "300a06082a8648ce3d040303");
}

TEST(AnAlgorithmIdentifier, OfPkcs1HasANull) {
  EXPECT_EQ(hex(algorithm_identifier({Digest::sha256, Padding::rsa_pkcs1})), "300d06092a864886f70d01010b0500");
  EXPECT_EQ(hex(algorithm_identifier({Digest::sha512, Padding::rsa_pkcs1})), "300d06092a864886f70d01010d0500");
}

// RFC 4055 3.1, and RFC 8017 appendix C: hash, MGF1 with the same hash, salt length; the trailer field is the default.
TEST(AnAlgorithmIdentifier, OfPssNamesHashMaskAndSalt) {
  EXPECT_EQ(hex(algorithm_identifier({Digest::sha256, Padding::rsa_pss})),
            "304106092a864886f70d01010a3034"
            "a00f300d06096086480165030402010500"
            "a11c301a06092a864886f70d010108300d06096086480165030402010500"
            "a203020120");
}

}  // namespace
}  // namespace devid::provider
