#include "tokens/pkcs11/public_object.h"

#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid::pkcs11 {
namespace {

constexpr auto p256 = std::to_array<unsigned char>({0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07});
constexpr auto p384 = std::to_array<unsigned char>({0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22});
constexpr auto p521 = std::to_array<unsigned char>({0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23});
constexpr std::byte uncompressed{4};

using OctetString = Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free>;

Error untold(std::string reason) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "the token does not tell the public half of the key",
          .reason = std::move(reason),
          .hint = "write the public key or the certificate into the token, with the CKA_ID of the private key"};
}

Error unsupported(std::string reason) {
  return {.code = Errc::token_unsupported,
          .retry = Retry::after_operator,
          .what = "the key is of a kind that devid does not use",
          .reason = std::move(reason),
          .hint = "use an EC key on P-256, P-384 or P-521, or an RSA key of 2048, 3072 or 4096 bits"};
}

std::optional<KeyAlgorithm> curve_in(BytesView parameters) {
  for (const KeyAlgorithm algorithm : all_key_algorithms())
    if (!is_rsa(algorithm) && std::ranges::equal(parameters, curve_oid(algorithm))) return algorithm;
  return std::nullopt;
}

bool is_bare_point(BytesView point, std::size_t field) {
  return point.size() == 1 + (2 * field) && point.front() == uncompressed;
}

Result<PublicKey> ec_key_in(const Attributes& attributes) {
  const auto algorithm = curve_in(attributes.bytes(CKA_EC_PARAMS));
  if (!algorithm) return fail(unsupported("it is an EC key on another curve"));
  const std::size_t field = key_bytes(*algorithm);
  Bytes point = to_bytes(attributes.bytes(CKA_EC_POINT));
  if (point.empty()) return fail(untold("there is no CKA_EC_POINT"));
  if (!is_bare_point(point, field)) {
    const unsigned char* position = as_uchar(BytesView(point));
    const unsigned char* end = position + point.size();
    const OctetString inner(d2i_ASN1_OCTET_STRING(nullptr, &position, static_cast<long>(point.size())));
    ERR_clear_error();
    if (!inner || position != end) return fail(untold("CKA_EC_POINT is not an OCTET STRING"));
    point = to_bytes(ASN1_STRING_get0_data(inner.get()), static_cast<std::size_t>(ASN1_STRING_length(inner.get())));
  }
  if (!is_bare_point(point, field)) return fail(untold("CKA_EC_POINT is not an uncompressed point of its curve"));
  return ec_public_key(*algorithm, BytesView(point).subspan(1, field), BytesView(point).last(field));
}

Result<PublicKey> rsa_key_in(const Attributes& attributes) {
  const BytesView modulus = attributes.bytes(CKA_MODULUS);
  const BytesView exponent = attributes.bytes(CKA_PUBLIC_EXPONENT);
  if (modulus.empty() || exponent.empty()) return fail(untold("there is no CKA_MODULUS or no CKA_PUBLIC_EXPONENT"));
  unsigned long number = 0;
  for (const std::byte octet : exponent) {
    if (number > (~0UL >> 8U)) return fail(unsupported("its RSA public exponent is longer than 64 bits"));
    number = (number << 8U) | std::to_integer<unsigned long>(octet);
  }
  return rsa_public_key(modulus, number);
}

}  // namespace

BytesView curve_oid(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ec_p256: return std::as_bytes(std::span(p256));
    case KeyAlgorithm::ec_p384: return std::as_bytes(std::span(p384));
    case KeyAlgorithm::ec_p521: return std::as_bytes(std::span(p521));
    default: return {};
  }
}

Result<Bytes> ec_point(BytesView x, BytesView y) {
  Bytes bare{uncompressed};
  bare.insert(bare.end(), x.begin(), x.end());
  bare.insert(bare.end(), y.begin(), y.end());
  const OctetString string(ASN1_OCTET_STRING_new());
  unsigned char* der = nullptr;
  const bool set =
      string && ASN1_OCTET_STRING_set(string.get(), as_uchar(BytesView(bare)), static_cast<int>(bare.size())) == 1;
  const int size = set ? i2d_ASN1_OCTET_STRING(string.get(), &der) : -1;
  if (size <= 0) return fail(openssl_error(Errc::internal, Retry::later, "cannot encode a point"));
  Bytes encoded = to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return encoded;
}

Result<PublicKey> public_key_in(const Attributes& attributes) {
  const auto type = attributes.number(CKA_KEY_TYPE);
  if (!type) return fail(untold("there is no CKA_KEY_TYPE"));
  if (*type == CKK_EC) return ec_key_in(attributes);
  if (*type == CKK_RSA) return rsa_key_in(attributes);
  return fail(unsupported("its CKA_KEY_TYPE is " + std::to_string(*type)));
}

Result<PublicKey> public_key_of_certificate(BytesView der) {
  const unsigned char* position = as_uchar(der);
  const X509Cert certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
  if (!certificate) return fail(untold("its certificate cannot be read: " + openssl_reason()));
  return public_key_of(X509_get0_pubkey(certificate.get()));
}

}  // namespace devid::pkcs11
