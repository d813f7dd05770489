#include "tokens/public_key.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <optional>
#include <tuple>
#include <utility>

namespace devid {
namespace {

using BigNumber = Owned<BIGNUM, BN_free>;
using ParamBuilder = Owned<OSSL_PARAM_BLD, OSSL_PARAM_BLD_free>;
using Params = Owned<OSSL_PARAM, OSSL_PARAM_free>;
using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using EcdsaSignature = Owned<ECDSA_SIG, ECDSA_SIG_free>;

struct Curve {
  KeyAlgorithm algorithm;
  const char* name;
};
constexpr std::array curves = std::to_array<Curve>({
    {KeyAlgorithm::ec_p256, SN_X9_62_prime256v1},
    {KeyAlgorithm::ec_p384, SN_secp384r1},
    {KeyAlgorithm::ec_p521, SN_secp521r1},
});

/// The bounds of a DER SubjectPublicKeyInfo and of a DER ECDSA signature that are worth parsing.
constexpr std::size_t largest_spki = 2048;
constexpr std::size_t largest_signature = 256;

const Curve* curve_of(KeyAlgorithm algorithm) {
  const auto* found = std::ranges::find(curves, algorithm, &Curve::algorithm);
  return found == curves.end() ? nullptr : found;
}

std::optional<KeyAlgorithm> rsa_algorithm(std::size_t bits) {
  for (const KeyAlgorithm algorithm : all_key_algorithms())
    if (is_rsa(algorithm) && key_bits(algorithm) == bits) return algorithm;
  return std::nullopt;
}

Error out_of_memory(std::string_view what) { return openssl_error(Errc::internal, Retry::later, what); }

Error unsupported(std::string reason) {
  return {.code = Errc::token_unsupported,
          .retry = Retry::after_operator,
          .what = "the key is of a kind that devid does not use",
          .reason = std::move(reason),
          .hint = "use an EC key on P-256, P-384 or P-521, or an RSA key of 2048, 3072 or 4096 bits"};
}

Error malformed_signature(std::string reason) {
  return {.code = Errc::token_failed,
          .retry = Retry::later,
          .what = "the ECDSA signature is malformed",
          .reason = std::move(reason)};
}

Error wrong_usage(std::string what) { return {.code = Errc::usage, .retry = Retry::never, .what = std::move(what)}; }

BigNumber big_number(BytesView value) {
  return BigNumber(BN_bin2bn(as_uchar(value), static_cast<int>(value.size()), nullptr));
}

Result<Bytes> spki_of(EVP_PKEY* key) {
  unsigned char* der = nullptr;
  const int size = i2d_PUBKEY(key, &der);
  if (size <= 0) return fail(openssl_error(Errc::token_failed, Retry::later, "cannot encode the public key"));
  Bytes spki = to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return spki;
}

Result<Bytes> spki_from_params(const char* type, OSSL_PARAM_BLD* builder, const Error& refusal) {
  const Params params(OSSL_PARAM_BLD_to_param(builder));
  const PkeyContext context(EVP_PKEY_CTX_new_from_name(nullptr, type, nullptr));
  if (!params || !context || EVP_PKEY_fromdata_init(context.get()) <= 0)
    return fail(out_of_memory("cannot build the public key"));
  EVP_PKEY* made = nullptr;
  if (EVP_PKEY_fromdata(context.get(), &made, EVP_PKEY_PUBLIC_KEY, params.get()) <= 0) {
    Error error = refusal;
    error.reason = openssl_reason();
    return fail(std::move(error));
  }
  const Pkey key(made);
  return spki_of(key.get());
}

Result<PublicKey> ec_key_of(EVP_PKEY* key) {
  std::array<char, 64> group{};
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) <= 0) {
    return fail(unsupported(openssl_reason()));
  }
  const std::string_view name(group.data());
  const auto* curve = std::ranges::find(curves, name, &Curve::name);
  if (curve == curves.end()) return fail(unsupported("it is an EC key on " + printable(name)));
  BIGNUM* x = nullptr;
  BIGNUM* y = nullptr;
  const bool got = EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_X, &x) > 0 &&
                   EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_EC_PUB_Y, &y) > 0;
  const BigNumber owned_x(x);
  const BigNumber owned_y(y);
  Bytes x_bytes(key_bytes(curve->algorithm));
  Bytes y_bytes(x_bytes.size());
  const int size = static_cast<int>(x_bytes.size());
  if (!got || BN_bn2binpad(x, as_uchar(std::span(x_bytes)), size) < 0 ||
      BN_bn2binpad(y, as_uchar(std::span(y_bytes)), size) < 0) {
    return fail(openssl_error(Errc::token_wrong_key, Retry::after_operator, "cannot read the point of the EC key"));
  }
  // Built anew, so that a compressed point or explicit curve parameters come out in the one form that PublicKey has.
  return ec_public_key(curve->algorithm, x_bytes, y_bytes);
}

Result<PublicKey> rsa_key_of(EVP_PKEY* key) {
  const int bits = EVP_PKEY_get_bits(key);
  const auto algorithm = rsa_algorithm(static_cast<std::size_t>(bits));
  if (!algorithm) return fail(unsupported("it is an RSA key of " + std::to_string(bits) + " bits"));
  auto spki = spki_of(key);
  if (!spki) return fail(std::move(spki.error()));
  return PublicKey{.algorithm = *algorithm, .spki = std::move(*spki)};
}

bool set_scheme(EVP_PKEY_CTX* context, SignatureScheme scheme) {
  if (EVP_PKEY_CTX_set_signature_md(context, message_digest(scheme.digest)) <= 0) return false;
  switch (scheme.padding) {
    case Padding::none: return true;
    case Padding::rsa_pkcs1: return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) > 0;
    case Padding::rsa_pss:
      return EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PSS_PADDING) > 0 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(context, RSA_PSS_SALTLEN_DIGEST) > 0;
  }
  return false;
}

Error does_not_verify(std::string reason) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "the signature is not by the key that was asked for",
          .reason = std::move(reason),
          .hint = "find out whether the token was cleared, replaced or provisioned again"};
}

}  // namespace

const EVP_MD* message_digest(Digest digest) {
  switch (digest) {
    case Digest::sha256: return EVP_sha256();
    case Digest::sha384: return EVP_sha384();
    case Digest::sha512: return EVP_sha512();
  }
  return nullptr;
}

Result<PublicKey> ec_public_key(KeyAlgorithm algorithm, BytesView x, BytesView y) {
  const Curve* curve = curve_of(algorithm);
  if (curve == nullptr) return fail(wrong_usage("an RSA key has no point"));
  const Error refusal{.code = Errc::token_wrong_key,
                      .retry = Retry::after_operator,
                      .what = "the public key of the token is not a point of its curve"};
  const std::size_t field = key_bytes(algorithm);
  if (x.size() > field || y.size() > field) return fail(refusal);
  Bytes point(1 + (2 * field));
  point[0] = std::byte{POINT_CONVERSION_UNCOMPRESSED};
  std::ranges::copy(x, point.begin() + static_cast<std::ptrdiff_t>(1 + field - x.size()));
  std::ranges::copy(y, point.end() - static_cast<std::ptrdiff_t>(y.size()));
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!builder || OSSL_PARAM_BLD_push_utf8_string(builder.get(), OSSL_PKEY_PARAM_GROUP_NAME, curve->name, 0) == 0 ||
      OSSL_PARAM_BLD_push_octet_string(builder.get(), OSSL_PKEY_PARAM_PUB_KEY, point.data(), point.size()) == 0) {
    return fail(out_of_memory("cannot build the public key"));
  }
  auto spki = spki_from_params("EC", builder.get(), refusal);
  if (!spki) return fail(std::move(spki.error()));
  return PublicKey{.algorithm = algorithm, .spki = std::move(*spki)};
}

Result<PublicKey> rsa_public_key(BytesView modulus, unsigned long exponent) {
  while (!modulus.empty() && modulus.front() == std::byte{0}) modulus = modulus.subspan(1);
  const bool whole = !modulus.empty() && (modulus.front() & std::byte{0x80}) != std::byte{0};
  const auto algorithm = rsa_algorithm(modulus.size() * 8);
  if (!whole || !algorithm)
    return fail(unsupported("its RSA modulus has about " + std::to_string(modulus.size() * 8) + " bits"));
  if (exponent < 3 || exponent % 2 == 0)
    return fail(unsupported("its RSA public exponent is " + std::to_string(exponent)));
  const BigNumber n = big_number(modulus);
  const BigNumber e(BN_new());
  const ParamBuilder builder(OSSL_PARAM_BLD_new());
  if (!n || !e || !builder || BN_set_word(e.get(), exponent) == 0 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_N, n.get()) == 0 ||
      OSSL_PARAM_BLD_push_BN(builder.get(), OSSL_PKEY_PARAM_RSA_E, e.get()) == 0) {
    return fail(out_of_memory("cannot build the public key"));
  }
  auto spki = spki_from_params("RSA", builder.get(), unsupported({}));
  if (!spki) return fail(std::move(spki.error()));
  return PublicKey{.algorithm = *algorithm, .spki = std::move(*spki)};
}

Result<PublicKey> public_key_of(EVP_PKEY* key) {
  if (key == nullptr) return fail(unsupported("OpenSSL cannot read it: " + openssl_reason()));
  auto spki = spki_of(key);
  if (!spki) return fail(std::move(spki.error()));
  // Read again in the default provider: a key of another provider need not know the parameters that are asked for.
  auto plain = to_evp_public({.spki = std::move(*spki)});
  if (!plain) return fail(std::move(plain.error()));
  if (EVP_PKEY_is_a(plain->get(), "EC") == 1) return ec_key_of(plain->get());
  if (EVP_PKEY_is_a(plain->get(), "RSA") == 1) return rsa_key_of(plain->get());
  const char* type = EVP_PKEY_get0_type_name(plain->get());
  return fail(unsupported(std::string("it is of type ").append(type == nullptr ? "unknown" : type)));
}

Result<Pkey> to_evp_public(const PublicKey& key) {
  const Error refusal{
      .code = Errc::token_wrong_key, .retry = Retry::after_operator, .what = "cannot read the public key"};
  if (key.spki.size() > largest_spki) return fail(refusal);
  const unsigned char* position = as_uchar(BytesView(key.spki));
  const unsigned char* end = position + key.spki.size();
  Pkey parsed(d2i_PUBKEY(nullptr, &position, static_cast<long>(key.spki.size())));
  if (parsed && position == end) return parsed;
  Error error = refusal;
  error.reason = parsed ? "there is something after it" : openssl_reason();
  return fail(std::move(error));
}

Result<> verify(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature) {
  if (digest.size() != digest_size(scheme.digest)) return fail(wrong_usage("the digest has a wrong length"));
  if (is_rsa(key.algorithm) == (scheme.padding == Padding::none))
    return fail(wrong_usage("the signature scheme does not fit the key"));
  auto evp = to_evp_public(key);
  if (!evp) return fail(std::move(evp.error()));
  Bytes octets = to_bytes(signature);
  if (!is_rsa(key.algorithm)) {
    if (signature.size() != 2 * key_bytes(key.algorithm)) return fail(does_not_verify("it has a wrong length"));
    auto der = ecdsa_to_der(signature);
    if (!der) return fail(std::move(der.error()));
    octets = std::move(*der);
  }
  const PkeyContext context(EVP_PKEY_CTX_new(evp->get(), nullptr));
  if (!context || EVP_PKEY_verify_init(context.get()) <= 0 || !set_scheme(context.get(), scheme))
    return fail(out_of_memory("cannot verify a signature"));
  if (EVP_PKEY_verify(context.get(), as_uchar(BytesView(octets)), octets.size(), as_uchar(digest), digest.size()) != 1)
    return fail(does_not_verify(openssl_reason()));
  return {};
}

Result<Bytes> ecdsa_to_der(BytesView raw) {
  if (raw.empty() || raw.size() % 2 != 0 || raw.size() > largest_signature)
    return fail(malformed_signature("it has " + std::to_string(raw.size()) + " bytes"));
  const EcdsaSignature signature(ECDSA_SIG_new());
  BigNumber r = big_number(raw.first(raw.size() / 2));
  BigNumber s = big_number(raw.last(raw.size() / 2));
  if (!signature || !r || !s || ECDSA_SIG_set0(signature.get(), r.get(), s.get()) == 0)
    return fail(out_of_memory("cannot encode an ECDSA signature"));
  std::ignore = r.release();  // set0 took both
  std::ignore = s.release();
  unsigned char* der = nullptr;
  const int size = i2d_ECDSA_SIG(signature.get(), &der);
  if (size <= 0) return fail(out_of_memory("cannot encode an ECDSA signature"));
  Bytes encoded = to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return encoded;
}

Result<Bytes> ecdsa_from_der(BytesView der, std::size_t half) {
  if (der.empty() || der.size() > largest_signature)
    return fail(malformed_signature("it has " + std::to_string(der.size()) + " bytes"));
  const unsigned char* position = as_uchar(der);
  const EcdsaSignature signature(d2i_ECDSA_SIG(nullptr, &position, static_cast<long>(der.size())));
  if (!signature) return fail(malformed_signature(openssl_reason()));
  if (position != as_uchar(der) + der.size()) return fail(malformed_signature("there is something after it"));
  const BIGNUM* r = ECDSA_SIG_get0_r(signature.get());
  const BIGNUM* s = ECDSA_SIG_get0_s(signature.get());
  Bytes raw(2 * half);
  const std::span<std::byte> halves(raw);
  const int size = static_cast<int>(half);
  if (BN_bn2binpad(r, as_uchar(halves.first(half)), size) < 0 ||
      BN_bn2binpad(s, as_uchar(halves.last(half)), size) < 0) {
    return fail(malformed_signature("a half is longer than " + std::to_string(half) + " bytes"));
  }
  return raw;
}

}  // namespace devid
