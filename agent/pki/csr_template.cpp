#include "agent/pki/csr_template.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include <algorithm>
#include <utility>

#include "agent/pki/der.h"
#include "agent/pki/general_name.h"
#include "agent/pki/oid.h"
#include "base/openssl.h"

namespace devid::pki {
namespace {

// CertificationRequestInfoTemplate ::= SEQUENCE {
//   version        INTEGER,                                       -- v1(0)
//   subject        SEQUENCE OF SET OF PartialAttribute OPTIONAL,
//   subjectPKInfo  [0] IMPLICIT PartialKey OPTIONAL,
//   attributes     [1] IMPLICIT SET OF Attribute }                -- servers leave it out if it is empty
// PartialAttribute ::= SEQUENCE {
//   type   OBJECT IDENTIFIER,
//   value  ANY OPTIONAL }
// PartialKey ::= SEQUENCE {
//   algorithm         AlgorithmIdentifier,
//   subjectPublicKey  BIT STRING OPTIONAL }                       -- only for the size of an RSA key
struct PartialAttribute {
  ASN1_OBJECT* type;
  ASN1_TYPE* value;
};
struct PartialKey {
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* public_key;
};
// NOLINTBEGIN
DEFINE_STACK_OF(PartialAttribute)
typedef STACK_OF(PartialAttribute) PartialRdn;
DEFINE_STACK_OF(PartialRdn)
// NOLINTEND
struct RequestTemplate {
  ASN1_INTEGER* version;
  STACK_OF(PartialRdn) * subject;
  PartialKey* key;
  STACK_OF(X509_ATTRIBUTE) * attributes;
};

// NOLINTBEGIN
ASN1_SEQUENCE(PartialAttribute) = {ASN1_SIMPLE(PartialAttribute, type, ASN1_OBJECT),
                                   ASN1_OPT(PartialAttribute, value,
                                            ASN1_ANY)} static_ASN1_SEQUENCE_END(PartialAttribute)

    ASN1_ITEM_TEMPLATE(PartialRdn) = ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SET_OF, 0, PartialRdn, PartialAttribute)
        static_ASN1_ITEM_TEMPLATE_END(PartialRdn)

            ASN1_SEQUENCE(PartialKey) = {ASN1_SIMPLE(PartialKey, algorithm, X509_ALGOR),
                                         ASN1_OPT(PartialKey, public_key,
                                                  ASN1_BIT_STRING)} static_ASN1_SEQUENCE_END(PartialKey)

                ASN1_SEQUENCE(RequestTemplate) = {ASN1_SIMPLE(RequestTemplate, version, ASN1_INTEGER),
                                                  ASN1_SEQUENCE_OF_OPT(RequestTemplate, subject, PartialRdn),
                                                  ASN1_IMP_OPT(RequestTemplate, key, PartialKey, 0),
                                                  ASN1_IMP_SET_OF_OPT(RequestTemplate, attributes, X509_ATTRIBUTE,
                                                                      1)} static_ASN1_SEQUENCE_END(RequestTemplate)
    // NOLINTEND

    constexpr const char* extension_template_oid = "1.2.840.113549.1.9.16.2.62";

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

bool is_string(int type) {
  switch (type) {
    case V_ASN1_UTF8STRING:
    case V_ASN1_PRINTABLESTRING:
    case V_ASN1_IA5STRING:
    case V_ASN1_T61STRING:
    case V_ASN1_BMPSTRING:
    case V_ASN1_UNIVERSALSTRING:
    case V_ASN1_NUMERICSTRING: return true;
    default: return false;
  }
}

/// An empty value is as none: it is how other templates write that the client chooses.
Result<> read_attribute(const PartialAttribute& attribute, std::vector<SubjectAttributeTemplate>& into,
                        CsrWishes& wishes) {
  const std::string name = oid_name(attribute.type);
  auto oid = dotted(attribute.type);
  if (!oid || (attribute.value != nullptr && !is_string(attribute.value->type))) {
    wishes.ignore("subject attribute " + name + (oid ? ", whose value is no text" : ""));
    return {};
  }
  std::optional<std::string> value;
  if (attribute.value != nullptr) {
    value = utf8(attribute.value->value.asn1_string);
    if (!value || has_control_characters(*value))
      return fail(malformed_attributes("subject attribute " + name + " has a value that is not what its type says"));
    if (value->empty()) value.reset();
  }
  into.push_back({.oid = std::move(*oid), .value = std::move(value)});
  return {};
}

Result<> read_subject(STACK_OF(PartialRdn) * rdns, CsrWishes& wishes) {
  std::vector<SubjectAttributeTemplate> subject;
  for (int i = 0; i < sk_PartialRdn_num(rdns); ++i) {
    const PartialRdn* const rdn = sk_PartialRdn_value(rdns, i);
    const int count = sk_PartialAttribute_num(rdn);
    if (count == 0) return fail(malformed_attributes("a relative distinguished name is empty"));
    if (count > 1)
      wishes.ignore("subject attributes in one relative distinguished name: they are asked for one by one");
    for (int j = 0; j < count; ++j)
      if (auto read = read_attribute(*sk_PartialAttribute_value(rdn, j), subject, wishes); !read) return read;
  }
  wishes.want_subject(std::move(subject));
  return {};
}

/// Bits of the modulus in whole octets; 0 if it is no RSA key.
std::size_t placeholder_size(const ASN1_BIT_STRING* key) {
  const BytesView der = octets(key);
  const unsigned char* position = as_uchar(der);
  const Pkey rsa(d2i_PublicKey(EVP_PKEY_RSA, nullptr, &position, static_cast<long>(der.size())));
  ERR_clear_error();
  const int bits = rsa ? EVP_PKEY_get_bits(rsa.get()) : 0;
  return bits > 0 ? (static_cast<std::size_t>(bits) + 7) / 8 * 8 : 0;
}

void read_key(const PartialKey& key, CsrWishes& wishes) {
  if (OBJ_obj2nid(key.algorithm->algorithm) == NID_rsaEncryption && key.public_key != nullptr)
    wishes.want_rsa(placeholder_size(key.public_key));
  else
    wishes.want_key(key.algorithm->algorithm, key.algorithm->parameter);
}

Result<> read_attributes(STACK_OF(X509_ATTRIBUTE) * attributes, CsrWishes& wishes) {
  const Oid extension_template = oid_of(extension_template_oid);
  int requests = 0;
  for (int i = 0; i < sk_X509_ATTRIBUTE_num(attributes); ++i) {
    X509_ATTRIBUTE* const attribute = sk_X509_ATTRIBUTE_value(attributes, i);
    const ASN1_OBJECT* const type = X509_ATTRIBUTE_get0_object(attribute);
    const bool is_template = OBJ_cmp(type, extension_template.get()) == 0;
    if (!is_template && OBJ_obj2nid(type) != NID_ext_req) {
      wishes.want(attribute);
      continue;
    }
    if (++requests > 1) return fail(malformed_attributes("the template has more than one request for extensions"));
    if (auto read = wishes.want_extensions(attribute, is_template); !read) return read;
  }
  return {};
}

}  // namespace

Result<> read_csr_template(BytesView der, CsrWishes& wishes) {
  auto decoded = decode<RequestTemplate>(der, ASN1_ITEM_rptr(RequestTemplate), malformed_attributes({}));
  if (!decoded) return fail(std::move(decoded.error()));
  const RequestTemplate& request = **decoded;
  std::uint64_t version = 0;
  if (ASN1_INTEGER_get_uint64(&version, request.version) != 1 || version != 0) {
    ERR_clear_error();
    return fail(malformed_attributes("the template has another version than 1"));
  }
  if (request.subject != nullptr)
    if (auto read = read_subject(request.subject, wishes); !read) return read;
  if (request.key != nullptr) read_key(*request.key, wishes);
  return read_attributes(request.attributes, wishes);
}

}  // namespace devid::pki
