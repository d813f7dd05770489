#include "agent/pki/csr_attributes.h"

#include <openssl/err.h>
#include <openssl/objects.h>

#include <utility>

#include "agent/pki/csr_template.h"
#include "agent/pki/csr_wishes.h"
#include "agent/pki/der.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

constexpr std::size_t most_bytes = 64UL * 1024;
constexpr const char* template_oid = "1.2.840.113549.1.9.16.2.61";

/// AttrOrOID: one of both.
struct Element {
  const ASN1_OBJECT* oid = nullptr;
  Item<X509_ATTRIBUTE> attribute;
};

Result<Element> read_element(const ASN1_TYPE* value) {
  if (value->type == V_ASN1_OBJECT) return Element{.oid = value->value.object, .attribute = {}};
  if (value->type != V_ASN1_SEQUENCE)
    return fail(malformed_attributes("an element is neither an OID nor an attribute"));
  auto attribute =
      decode<X509_ATTRIBUTE>(octets(value->value.sequence), ASN1_ITEM_rptr(X509_ATTRIBUTE), malformed_attributes({}));
  if (!attribute) return fail(std::move(attribute.error()));
  return Element{.oid = nullptr, .attribute = std::move(*attribute)};
}

/// The elements with a place of their own, each at most once.
struct Elements {
  std::vector<Element> others;
  Item<X509_ATTRIBUTE> request_template;
  Item<X509_ATTRIBUTE> extension_request;
};

Result<Elements> read_elements(STACK_OF(ASN1_TYPE) * values) {
  const Oid request_template = oid_of(template_oid);
  Elements elements;
  for (int i = 0; i < sk_ASN1_TYPE_num(values); ++i) {
    auto element = read_element(sk_ASN1_TYPE_value(values, i));
    if (!element) return fail(std::move(element.error()));
    const ASN1_OBJECT* const type = element->attribute ? X509_ATTRIBUTE_get0_object(element->attribute.get()) : nullptr;
    if (type != nullptr && OBJ_cmp(type, request_template.get()) == 0) {
      if (elements.request_template) return fail(malformed_attributes("there is more than one template"));
      elements.request_template = std::move(element->attribute);
    } else if (type != nullptr && OBJ_obj2nid(type) == NID_ext_req) {
      if (elements.extension_request)
        return fail(malformed_attributes("there is more than one request for extensions"));
      elements.extension_request = std::move(element->attribute);
    } else {
      elements.others.push_back(std::move(*element));
    }
  }
  return elements;
}

Result<> read_template(X509_ATTRIBUTE* attribute, CsrWishes& wishes) {
  const ASN1_TYPE* const value =
      X509_ATTRIBUTE_count(attribute) == 1 ? X509_ATTRIBUTE_get0_type(attribute, 0) : nullptr;
  if (value == nullptr || value->type != V_ASN1_SEQUENCE)
    return fail(malformed_attributes("the template attribute does not hold one template"));
  return read_csr_template(octets(value->value.sequence), wishes);
}

}  // namespace

Result<CsrAttributes> read_csr_attributes(BytesView der) {
  if (der.empty()) return CsrAttributes{};
  if (der.size() > most_bytes) return fail(malformed_attributes("they are longer than 64 KiB"));
  auto values = decode<STACK_OF(ASN1_TYPE)>(der, ASN1_ITEM_rptr(ASN1_SEQUENCE_ANY), malformed_attributes({}));
  if (!values) return fail(std::move(values.error()));
  auto elements = read_elements(values->get());
  if (!elements) return fail(std::move(elements.error()));

  CsrWishes wishes;
  if (elements->request_template) {
    if (auto read = read_template(elements->request_template.get(), wishes); !read)
      return fail(std::move(read.error()));
    return wishes.take();
  }
  for (const Element& element : elements->others)
    element.attribute ? wishes.want(element.attribute.get()) : wishes.want(element.oid);
  if (elements->extension_request)
    if (auto read = wishes.want_extensions(elements->extension_request.get(), false); !read)
      return fail(std::move(read.error()));
  return wishes.take();
}

}  // namespace devid::pki
