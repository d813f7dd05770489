#include "tokens/outside_key.h"

#include <openssl/asn1t.h>
#include <openssl/bn.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/objects.h>
#include <openssl/x509.h>

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid {
namespace {

constexpr std::size_t largest_key = std::size_t{16} * 1024;
constexpr unsigned long usual_exponent = 65537;

// OpenSSL's own decoders of private keys leave copies in memory that they free. What they are made of does not: a
// CBIGNUM is wiped by itself, and an OCTET STRING by wipe_before_free().
//
// OneAsymmetricKey ::= SEQUENCE {                  -- RFC 5958 2; PrivateKeyInfo is the same without publicKey
//   version     INTEGER,
//   algorithm   AlgorithmIdentifier,
//   privateKey  OCTET STRING,
//   attributes  [0] IMPLICIT SET OF Attribute OPTIONAL,
//   publicKey   [1] IMPLICIT BIT STRING OPTIONAL }
struct OneAsymmetricKey {
  ASN1_INTEGER* version;
  X509_ALGOR* algorithm;
  ASN1_OCTET_STRING* private_key;
  STACK_OF(X509_ATTRIBUTE) * attributes;
  ASN1_BIT_STRING* public_key;
};
// ECPrivateKey ::= SEQUENCE {                      -- RFC 5915 3
//   version     INTEGER (1),
//   privateKey  OCTET STRING,
//   parameters  [0] EXPLICIT OBJECT IDENTIFIER OPTIONAL,
//   publicKey   [1] EXPLICIT BIT STRING OPTIONAL }
struct EcPrivateKey {
  ASN1_INTEGER* version;
  ASN1_OCTET_STRING* private_key;
  ASN1_OBJECT* parameters;
  ASN1_BIT_STRING* public_key;
};
// RSAPrivateKey ::= SEQUENCE { version (0), n, e, d, p, q, d mod (p - 1), d mod (q - 1), q^-1 mod p }
struct RsaPrivateKey {
  ASN1_INTEGER* version;
  BIGNUM* n;
  BIGNUM* e;
  BIGNUM* d;
  BIGNUM* p;
  BIGNUM* q;
  BIGNUM* dp;
  BIGNUM* dq;
  BIGNUM* qinv;
};

template <class Structure>
int wipe_before_free(int operation, ASN1_VALUE** value, const ASN1_ITEM* /*item*/, void* /*unused*/) {
  if (operation != ASN1_OP_FREE_PRE || *value == nullptr) return 1;
  const ASN1_OCTET_STRING* secret = reinterpret_cast<Structure*>(*value)->private_key;
  if (secret != nullptr && secret->data != nullptr)
    OPENSSL_cleanse(secret->data, static_cast<std::size_t>(secret->length));
  return 1;
}
constexpr auto* wipe_one_asymmetric_key = &wipe_before_free<OneAsymmetricKey>;
constexpr auto* wipe_ec_private_key = &wipe_before_free<EcPrivateKey>;

// NOLINTBEGIN
ASN1_SEQUENCE_cb(OneAsymmetricKey,
                 wipe_one_asymmetric_key) = {ASN1_SIMPLE(OneAsymmetricKey, version, ASN1_INTEGER),
                                             ASN1_SIMPLE(OneAsymmetricKey, algorithm, X509_ALGOR),
                                             ASN1_SIMPLE(OneAsymmetricKey, private_key, ASN1_OCTET_STRING),
                                             ASN1_IMP_SET_OF_OPT(OneAsymmetricKey, attributes, X509_ATTRIBUTE, 0),
                                             ASN1_IMP_OPT(OneAsymmetricKey, public_key, ASN1_BIT_STRING,
                                                          1)} static_ASN1_SEQUENCE_END_cb(OneAsymmetricKey,
                                                                                          OneAsymmetricKey)
    ASN1_SEQUENCE_cb(EcPrivateKey, wipe_ec_private_key) = {ASN1_SIMPLE(EcPrivateKey, version, ASN1_INTEGER),
                                                           ASN1_SIMPLE(EcPrivateKey, private_key, ASN1_OCTET_STRING),
                                                           ASN1_EXP_OPT(EcPrivateKey, parameters, ASN1_OBJECT, 0),
                                                           ASN1_EXP_OPT(EcPrivateKey, public_key, ASN1_BIT_STRING,
                                                                        1)} static_ASN1_SEQUENCE_END_cb(EcPrivateKey,
                                                                                                        EcPrivateKey)
        ASN1_SEQUENCE(RsaPrivateKey) = {ASN1_SIMPLE(RsaPrivateKey, version, ASN1_INTEGER),
                                        ASN1_SIMPLE(RsaPrivateKey, n, BIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, e, BIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, d, CBIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, p, CBIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, q, CBIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, dp, CBIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, dq, CBIGNUM),
                                        ASN1_SIMPLE(RsaPrivateKey, qinv,
                                                    CBIGNUM)} static_ASN1_SEQUENCE_END(RsaPrivateKey)
    // NOLINTEND

    template <class Structure>
    struct Item;
template <>
struct Item<OneAsymmetricKey> {
  static const ASN1_ITEM* it() { return ASN1_ITEM_rptr(OneAsymmetricKey); }
};
template <>
struct Item<EcPrivateKey> {
  static const ASN1_ITEM* it() { return ASN1_ITEM_rptr(EcPrivateKey); }
};
template <>
struct Item<RsaPrivateKey> {
  static const ASN1_ITEM* it() { return ASN1_ITEM_rptr(RsaPrivateKey); }
};
template <class Structure>
struct FreeItem {
  void operator()(Structure* structure) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(structure), Item<Structure>::it());
  }
};
template <class Structure>
using Parsed = std::unique_ptr<Structure, FreeItem<Structure>>;

using BigNumber = Owned<BIGNUM, BN_clear_free>;
using BnContext = Owned<BN_CTX, BN_CTX_free>;
using Group = Owned<EC_GROUP, EC_GROUP_free>;
using Point = Owned<EC_POINT, EC_POINT_clear_free>;

Error not_a_key(KeyAlgorithm algorithm, std::string reason) {
  return {.code = Errc::usage,
          .retry = Retry::never,
          .what = "this is no private key of the kind " + std::string(algorithm_name(algorithm)),
          .reason = std::move(reason)};
}

Error out_of_memory() { return openssl_error(Errc::internal, Retry::later, "cannot compute with a private key"); }

BytesView octets(const ASN1_STRING* string) {
  return std::as_bytes(std::span(ASN1_STRING_get0_data(string), static_cast<std::size_t>(ASN1_STRING_length(string))));
}

/// Null if it is not one, or something is after it.
template <class Structure>
Parsed<Structure> parse(BytesView der) {
  const unsigned char* position = as_uchar(der);
  const unsigned char* end = position + der.size();
  Parsed<Structure> parsed(reinterpret_cast<Structure*>(
      ASN1_item_d2i(nullptr, &position, static_cast<long>(der.size()), Item<Structure>::it())));
  ERR_clear_error();
  return position == end ? std::move(parsed) : nullptr;
}

/// Empty if the number is longer.
Secret secret_of(const BIGNUM* number, std::size_t size) {
  Bytes buffer(size);
  const bool fits = BN_bn2binpad(number, as_uchar(std::span(buffer)), static_cast<int>(size)) >= 0;
  Secret secret(fits ? BytesView(buffer) : BytesView());
  wipe(buffer);
  return secret;
}

Result<Bytes> octets_of(const BIGNUM* number, std::size_t size) {
  Bytes bytes(size);
  if (BN_bn2binpad(number, as_uchar(std::span(bytes)), static_cast<int>(size)) < 0) return fail(out_of_memory());
  return bytes;
}

int curve_of(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ec_p256: return NID_X9_62_prime256v1;
    case KeyAlgorithm::ec_p384: return NID_secp384r1;
    case KeyAlgorithm::ec_p521: return NID_secp521r1;
    default: return NID_undef;
  }
}

/// The public half of a scalar between 1 and the order. None of an error.
Result<EcNumbers> ec_numbers(KeyAlgorithm algorithm, BytesView scalar) {
  const Group group(EC_GROUP_new_by_curve_name(curve_of(algorithm)));
  const BnContext context(BN_CTX_secure_new());
  const BigNumber number(BN_secure_new());
  const BigNumber x(BN_new());
  const BigNumber y(BN_new());
  const Point point(group ? EC_POINT_new(group.get()) : nullptr);
  if (!context || !number || !x || !y || !point ||
      BN_bin2bn(as_uchar(scalar), static_cast<int>(scalar.size()), number.get()) == nullptr)
    return fail(out_of_memory());
  BN_set_flags(number.get(), BN_FLG_CONSTTIME);
  if (BN_is_zero(number.get()) == 1 || BN_cmp(number.get(), EC_GROUP_get0_order(group.get())) >= 0)
    return fail(not_a_key(algorithm, "its scalar is not below the order of the curve"));
  if (EC_POINT_mul(group.get(), point.get(), number.get(), nullptr, nullptr, context.get()) != 1 ||
      EC_POINT_get_affine_coordinates(group.get(), point.get(), x.get(), y.get(), context.get()) != 1)
    return fail(out_of_memory());
  const std::size_t size = key_bytes(algorithm);
  auto x_octets = octets_of(x.get(), size);
  auto y_octets = octets_of(y.get(), size);
  if (!x_octets || !y_octets) return fail(out_of_memory());
  return EcNumbers{.x = std::move(*x_octets), .y = std::move(*y_octets), .scalar = secret_of(number.get(), size)};
}

/// Whether the point beside a scalar, if there is one, is the point of the scalar; of a compressed one the first
/// coordinate tells.
bool is_point_of(const ASN1_BIT_STRING* point, const EcNumbers& numbers) {
  if (point == nullptr) return true;
  Bytes expected{std::byte{POINT_CONVERSION_UNCOMPRESSED}};
  expected.insert(expected.end(), numbers.x.begin(), numbers.x.end());
  expected.insert(expected.end(), numbers.y.begin(), numbers.y.end());
  const BytesView given = octets(point);
  if (given.size() == 1 + numbers.x.size()) return std::ranges::equal(given.subspan(1), numbers.x);
  return std::ranges::equal(given, expected);
}

Result<EcNumbers> read_ec(KeyAlgorithm algorithm, BytesView der, const ASN1_BIT_STRING* outer_point) {
  const auto key = parse<EcPrivateKey>(der);
  if (!key) return fail(not_a_key(algorithm, "the ECPrivateKey is malformed"));
  if (ASN1_INTEGER_get(key->version) != 1) return fail(not_a_key(algorithm, "the ECPrivateKey has another version"));
  if (key->parameters != nullptr && OBJ_obj2nid(key->parameters) != curve_of(algorithm))
    return fail(not_a_key(algorithm, "it names another curve"));
  // RFC 5915 3: as long as the order. Some leave zeros in front away.
  if (octets(key->private_key).size() > key_bytes(algorithm))
    return fail(not_a_key(algorithm, "its scalar is too long"));
  auto numbers = ec_numbers(algorithm, octets(key->private_key));
  if (!numbers) return numbers;
  if (!is_point_of(key->public_key, *numbers) || !is_point_of(outer_point, *numbers))
    return fail(not_a_key(algorithm, "its public key is that of another private key"));
  return numbers;
}

/// n = p·q, and what follows from p, q and e. That p and q are prime shows when the key signs.
bool numbers_fit(const RsaPrivateKey& key) {
  const BnContext context(BN_CTX_secure_new());
  if (!context) return false;
  BN_CTX* with = context.get();
  BN_CTX_start(with);
  BIGNUM* less = BN_CTX_get(with);
  BIGNUM* result = BN_CTX_get(with);
  const auto is_inverse = [&](const BIGNUM* one, const BIGNUM* other, const BIGNUM* modulus) {
    return BN_mod_mul(result, one, other, modulus, with) == 1 && BN_is_one(result) == 1;
  };
  const auto belongs_to = [&](const BIGNUM* exponent, const BIGNUM* prime) {
    return BN_is_odd(prime) == 1 && BN_sub(less, prime, BN_value_one()) == 1 && is_inverse(key.d, key.e, less) &&
           BN_nnmod(result, key.d, less, with) == 1 && BN_cmp(result, exponent) == 0;
  };
  const bool fit = result != nullptr && BN_mul(result, key.p, key.q, with) == 1 && BN_cmp(result, key.n) == 0 &&
                   belongs_to(key.dp, key.p) && belongs_to(key.dq, key.q) && BN_cmp(key.qinv, key.p) < 0 &&
                   is_inverse(key.qinv, key.q, key.p);
  BN_CTX_end(with);
  ERR_clear_error();
  return fit;
}

Result<RsaNumbers> read_rsa(KeyAlgorithm algorithm, BytesView der) {
  const auto key = parse<RsaPrivateKey>(der);
  if (!key) return fail(not_a_key(algorithm, "the RSAPrivateKey is malformed"));
  if (ASN1_INTEGER_get(key->version) != 0) return fail(not_a_key(algorithm, "it has more than two primes"));
  if (BN_num_bits(key->n) != static_cast<int>(key_bits(algorithm)))
    return fail(not_a_key(algorithm, "its modulus has " + std::to_string(BN_num_bits(key->n)) + " bits"));
  if (BN_is_word(key->e, usual_exponent) == 0) return fail(not_a_key(algorithm, "its public exponent is not 65537"));
  const int half = BN_num_bits(key->n) / 2;
  if (BN_num_bits(key->p) != half || BN_num_bits(key->q) != half || BN_cmp(key->d, key->n) >= 0)
    return fail(not_a_key(algorithm, "its primes are not of the same length, or its private exponent is too long"));
  if (!numbers_fit(*key)) return fail(not_a_key(algorithm, "its numbers do not fit each other"));
  const std::size_t size = key_bytes(algorithm);
  auto modulus = octets_of(key->n, size);
  if (!modulus) return fail(std::move(modulus.error()));
  return RsaNumbers{.modulus = std::move(*modulus),
                    .private_exponent = secret_of(key->d, size),
                    .prime_1 = secret_of(key->p, size / 2),
                    .prime_2 = secret_of(key->q, size / 2),
                    .exponent_1 = secret_of(key->dp, size / 2),
                    .exponent_2 = secret_of(key->dq, size / 2),
                    .coefficient = secret_of(key->qinv, size / 2)};
}

bool is_of_algorithm(const X509_ALGOR* identifier, KeyAlgorithm algorithm) {
  const ASN1_OBJECT* type = nullptr;
  int kind = V_ASN1_UNDEF;
  const void* parameters = nullptr;
  X509_ALGOR_get0(&type, &kind, &parameters, identifier);
  if (is_rsa(algorithm)) return OBJ_obj2nid(type) == NID_rsaEncryption;
  return OBJ_obj2nid(type) == NID_X9_62_id_ecPublicKey && kind == V_ASN1_OBJECT &&
         OBJ_obj2nid(static_cast<const ASN1_OBJECT*>(parameters)) == curve_of(algorithm);
}

/// The same key in the form that every token reads.
Result<Secret> write_private_key_info(OneAsymmetricKey& key) {
  sk_X509_ATTRIBUTE_pop_free(std::exchange(key.attributes, nullptr), X509_ATTRIBUTE_free);
  ASN1_BIT_STRING_free(std::exchange(key.public_key, nullptr));
  unsigned char* der = nullptr;
  const int size = ASN1_INTEGER_set(key.version, 0) == 1
                       ? ASN1_item_i2d(reinterpret_cast<ASN1_VALUE*>(&key), &der, Item<OneAsymmetricKey>::it())
                       : -1;
  if (size <= 0) return fail(out_of_memory());
  Secret written(std::as_bytes(std::span(der, static_cast<std::size_t>(size))));
  OPENSSL_clear_free(der, static_cast<std::size_t>(size));
  return written;
}

template <class Numbers>
Result<OutsideKey> outside_key(Result<PublicKey> public_key, Numbers numbers, OneAsymmetricKey& info) {
  if (!public_key) return fail(std::move(public_key.error()));
  auto written = write_private_key_info(info);
  if (!written) return fail(std::move(written.error()));
  return OutsideKey{
      .public_key = std::move(*public_key), .numbers = std::move(numbers), .private_key_info = std::move(*written)};
}

}  // namespace

Result<OutsideKey> read_outside_key(KeyAlgorithm algorithm, const Secret& pkcs8) {
  if (pkcs8.empty()) return fail(not_a_key(algorithm, "it is empty"));
  if (pkcs8.size() > largest_key) return fail(not_a_key(algorithm, "it is longer than 16 KiB"));
  const auto info = parse<OneAsymmetricKey>(pkcs8.reveal());
  if (!info) return fail(not_a_key(algorithm, "it is no DER PrivateKeyInfo"));
  if (!is_of_algorithm(info->algorithm, algorithm)) return fail(not_a_key(algorithm, "it is of another algorithm"));
  const BytesView inner = octets(info->private_key);
  if (is_rsa(algorithm)) {
    auto numbers = read_rsa(algorithm, inner);
    if (!numbers) return fail(std::move(numbers.error()));
    auto public_key = rsa_public_key(numbers->modulus, usual_exponent);
    return outside_key(std::move(public_key), std::move(*numbers), *info);
  }
  auto numbers = read_ec(algorithm, inner, info->public_key);
  if (!numbers) return fail(std::move(numbers.error()));
  auto public_key = ec_public_key(algorithm, numbers->x, numbers->y);
  return outside_key(std::move(public_key), std::move(*numbers), *info);
}

Result<> check_taken_over(PrivateKey& key, const PublicKey& expected) {
  const KeyAlgorithm algorithm = expected.algorithm;
  const SignatureScheme scheme{.digest = digest_for(algorithm),
                               .padding = is_rsa(algorithm) ? Padding::rsa_pkcs1 : Padding::none};
  if (key.public_key() != expected) {
    return fail({.code = Errc::token_wrong_key,
                 .retry = Retry::later,
                 .what = "the token has another key than the one that was given to it"});
  }
  const Bytes digest(digest_size(scheme.digest), std::byte{0x5a});  // nobody's
  const auto signature = key.sign(digest, scheme);
  if (!signature) return fail(signature.error());
  return verify(expected, digest, scheme, *signature);
}

}  // namespace devid
