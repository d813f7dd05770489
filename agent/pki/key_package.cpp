#include "agent/pki/key_package.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/x509.h>

#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <utility>

#include "base/openssl.h"

namespace devid::pki {
namespace {

// OneAsymmetricKey ::= SEQUENCE {
//   version     INTEGER,              -- 0, or 1 if there is a public key
//   algorithm   AlgorithmIdentifier,
//   privateKey  OCTET STRING,
//   attributes  [0] IMPLICIT SET OF Attribute OPTIONAL,
//   publicKey   [1] IMPLICIT BIT STRING OPTIONAL }
// Without publicKey it is PKCS#8's PrivateKeyInfo. OpenSSL 3.0 cannot read one with it.
struct OneAsymmetricKey {
  ASN1_INTEGER* version;
  X509_ALGOR* algorithm;
  ASN1_OCTET_STRING* private_key;
  STACK_OF(X509_ATTRIBUTE) * attributes;
  ASN1_BIT_STRING* public_key;
};

// RSAPrivateKey ::= SEQUENCE { version INTEGER, modulus … coefficient INTEGER }: PKCS#1 (RFC 8017 A.1.2). Version 0 has
// two primes, and nothing behind the coefficient.
struct RsaPrivateKey {
  ASN1_INTEGER* version;
  ASN1_INTEGER* modulus;
  ASN1_INTEGER* public_exponent;
  ASN1_INTEGER* private_exponent;
  ASN1_INTEGER* prime1;
  ASN1_INTEGER* prime2;
  ASN1_INTEGER* exponent1;
  ASN1_INTEGER* exponent2;
  ASN1_INTEGER* coefficient;
};

void wipe_string(ASN1_STRING* string) {
  if (string != nullptr) OPENSSL_cleanse(string->data, static_cast<std::size_t>(string->length));
}

/// Wipes a key before its memory is given back; OpenSSL calls it, also when it stops in the middle of reading.
int wipe_before_free(int operation, ASN1_VALUE** value, const ASN1_ITEM* /*item*/, void* /*argument*/) {
  if (operation != ASN1_OP_FREE_PRE || value == nullptr || *value == nullptr) return 1;
  wipe_string(reinterpret_cast<const OneAsymmetricKey*>(*value)->private_key);
  return 1;
}

int wipe_rsa_before_free(int operation, ASN1_VALUE** value, const ASN1_ITEM* /*item*/, void* /*argument*/) {
  if (operation != ASN1_OP_FREE_PRE || value == nullptr || *value == nullptr) return 1;
  const auto& key = *reinterpret_cast<const RsaPrivateKey*>(*value);
  for (ASN1_INTEGER* const number :
       {key.private_exponent, key.prime1, key.prime2, key.exponent1, key.exponent2, key.coefficient})
    wipe_string(number);
  return 1;
}

// NOLINTBEGIN
ASN1_SEQUENCE_cb(OneAsymmetricKey,
                 wipe_before_free) = {ASN1_SIMPLE(OneAsymmetricKey, version, ASN1_INTEGER),
                                      ASN1_SIMPLE(OneAsymmetricKey, algorithm, X509_ALGOR),
                                      ASN1_SIMPLE(OneAsymmetricKey, private_key, ASN1_OCTET_STRING),
                                      ASN1_IMP_SET_OF_OPT(OneAsymmetricKey, attributes, X509_ATTRIBUTE, 0),
                                      ASN1_IMP_OPT(OneAsymmetricKey, public_key, ASN1_BIT_STRING,
                                                   1)} static_ASN1_SEQUENCE_END_cb(OneAsymmetricKey, OneAsymmetricKey)
    DEFINE_STACK_OF(OneAsymmetricKey)
        ASN1_ITEM_TEMPLATE(AsymmetricKeyPackage) = ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, AsymmetricKeyPackage,
                                                                         OneAsymmetricKey)
            static_ASN1_ITEM_TEMPLATE_END(AsymmetricKeyPackage) ASN1_SEQUENCE_cb(RsaPrivateKey, wipe_rsa_before_free) =
                {ASN1_SIMPLE(RsaPrivateKey, version, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, modulus, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, public_exponent, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, private_exponent, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, prime1, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, prime2, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, exponent1, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, exponent2, ASN1_INTEGER),
                 ASN1_SIMPLE(RsaPrivateKey, coefficient, ASN1_INTEGER)} static_ASN1_SEQUENCE_END_cb(RsaPrivateKey,
                                                                                                    RsaPrivateKey)
    // NOLINTEND

    constexpr std::size_t largest = 16384;

struct FreeKey {
  void operator()(OneAsymmetricKey* key) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(key), ASN1_ITEM_rptr(OneAsymmetricKey));
  }
};
struct FreeRsa {
  void operator()(RsaPrivateKey* key) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(key), ASN1_ITEM_rptr(RsaPrivateKey));
  }
};
struct FreePackage {
  void operator()(STACK_OF(OneAsymmetricKey) * package) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(package), ASN1_ITEM_rptr(AsymmetricKeyPackage));
  }
};
using Key = std::unique_ptr<OneAsymmetricKey, FreeKey>;
using Package = std::unique_ptr<STACK_OF(OneAsymmetricKey), FreePackage>;

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read the private key in the server's answer",
          .reason = std::move(reason),
          .hint = "see the EST server's log: it must send a PKCS#8 key, or a key package (RFC 7030 4.4.2)"};
}

/// All of `der` as this item, or null.
template <class T, class Free>
std::unique_ptr<T, Free> parse(BytesView der, const ASN1_ITEM* item) {
  const unsigned char* position = as_uchar(der);
  std::unique_ptr<T, Free> parsed(
      reinterpret_cast<T*>(ASN1_item_d2i(nullptr, &position, static_cast<long>(der.size()), item)));
  return position == as_uchar(der) + der.size() ? std::move(parsed) : nullptr;
}

/// Drops what not every reader of PKCS#8 knows.
bool simplify(OneAsymmetricKey& key) {
  sk_X509_ATTRIBUTE_pop_free(key.attributes, X509_ATTRIBUTE_free);
  key.attributes = nullptr;
  ASN1_BIT_STRING_free(key.public_key);
  key.public_key = nullptr;
  return ASN1_INTEGER_set(key.version, 0) == 1;
}

Result<Secret> encode(OneAsymmetricKey& key) {
  unsigned char* data = nullptr;
  const int size =
      simplify(key) ? ASN1_item_i2d(reinterpret_cast<const ASN1_VALUE*>(&key), &data, ASN1_ITEM_rptr(OneAsymmetricKey))
                    : 0;
  if (size <= 0) return fail(openssl_error(Errc::internal, Retry::later, "cannot encode a private key"));
  const auto length = static_cast<std::size_t>(size);
  Secret secret(std::as_bytes(std::span(data, length)));
  OPENSSL_clear_free(data, length);
  return secret;
}

/// Whether all of `der` is an RSA key of PKCS#1 with two primes.
bool is_bare_rsa_key(BytesView der) {
  const auto key = parse<RsaPrivateKey, FreeRsa>(der, ASN1_ITEM_rptr(RsaPrivateKey));
  if (!key || ASN1_INTEGER_get(key->version) != 0) return false;
  // OpenSSL's own reader passes over the sign.
  return std::ranges::all_of(std::array{key->modulus, key->public_exponent, key->private_exponent, key->prime1,
                                        key->prime2, key->exponent1, key->exponent2, key->coefficient},
                             [](const ASN1_INTEGER* number) { return ASN1_STRING_type(number) == V_ASN1_INTEGER; });
}

/// Says what kind of key it is.
Result<Secret> wrap_rsa_key(BytesView der) {
  const Key key(reinterpret_cast<OneAsymmetricKey*>(ASN1_item_new(ASN1_ITEM_rptr(OneAsymmetricKey))));
  if (!key || X509_ALGOR_set0(key->algorithm, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, nullptr) != 1 ||
      ASN1_OCTET_STRING_set(key->private_key, as_uchar(der), static_cast<int>(der.size())) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot encode a private key"));
  return encode(*key);
}

}  // namespace

Result<Secret> read_key_package(BytesView der) {
  ERR_clear_error();
  if (der.size() > largest) return fail(malformed("it is longer than " + std::to_string(largest) + " bytes"));
  if (const auto key = parse<OneAsymmetricKey, FreeKey>(der, ASN1_ITEM_rptr(OneAsymmetricKey))) return encode(*key);
  ERR_clear_error();
  if (is_bare_rsa_key(der)) return wrap_rsa_key(der);
  ERR_clear_error();
  const auto package = parse<STACK_OF(OneAsymmetricKey), FreePackage>(der, ASN1_ITEM_rptr(AsymmetricKeyPackage));
  if (!package) return fail(malformed(openssl_reason()));
  const int count = sk_OneAsymmetricKey_num(package.get());
  if (count != 1) return fail(malformed("the package has " + std::to_string(count) + " keys instead of one"));
  return encode(*sk_OneAsymmetricKey_value(package.get(), 0));
}

}  // namespace devid::pki
