#include "agent/pki/key_package.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/x509.h>

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

/// Wipes the key before its memory is given back; OpenSSL calls it, also when it stops in the middle of reading.
int wipe_before_free(int operation, ASN1_VALUE** value, const ASN1_ITEM* /*item*/, void* /*argument*/) {
  if (operation != ASN1_OP_FREE_PRE || value == nullptr || *value == nullptr) return 1;
  const auto* key = reinterpret_cast<const OneAsymmetricKey*>(*value);
  if (key->private_key != nullptr)
    OPENSSL_cleanse(key->private_key->data, static_cast<std::size_t>(key->private_key->length));
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
            static_ASN1_ITEM_TEMPLATE_END(AsymmetricKeyPackage)
    // NOLINTEND

    constexpr std::size_t largest = 16384;

struct FreeKey {
  void operator()(OneAsymmetricKey* key) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(key), ASN1_ITEM_rptr(OneAsymmetricKey));
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

}  // namespace

Result<Secret> read_key_package(BytesView der) {
  ERR_clear_error();
  if (der.size() > largest) return fail(malformed("it is longer than " + std::to_string(largest) + " bytes"));
  if (const auto key = parse<OneAsymmetricKey, FreeKey>(der, ASN1_ITEM_rptr(OneAsymmetricKey))) return encode(*key);
  ERR_clear_error();
  const auto package = parse<STACK_OF(OneAsymmetricKey), FreePackage>(der, ASN1_ITEM_rptr(AsymmetricKeyPackage));
  if (!package) return fail(malformed(openssl_reason()));
  const int count = sk_OneAsymmetricKey_num(package.get());
  if (count != 1) return fail(malformed("the package has " + std::to_string(count) + " keys instead of one"));
  return encode(*sk_OneAsymmetricKey_value(package.get(), 0));
}

}  // namespace devid::pki
