#include "agent/pki/extension_template.h"

#include <set>
#include <utility>

#include "agent/pki/csr_wishes.h"
#include "agent/pki/der.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

// ExtensionTemplate ::= SEQUENCE {
//   extnID     OBJECT IDENTIFIER,
//   critical   BOOLEAN DEFAULT FALSE,
//   extnValue  OCTET STRING OPTIONAL }
struct PartialExtension {
  ASN1_OBJECT* oid;
  ASN1_BOOLEAN critical;  ///< -1 if absent
  ASN1_OCTET_STRING* value;
};

// NOLINTBEGIN
DEFINE_STACK_OF(PartialExtension)
ASN1_SEQUENCE(PartialExtension) = {ASN1_SIMPLE(PartialExtension, oid, ASN1_OBJECT),
                                   ASN1_OPT(PartialExtension, critical, ASN1_BOOLEAN),
                                   ASN1_OPT(PartialExtension, value,
                                            ASN1_OCTET_STRING)} static_ASN1_SEQUENCE_END(PartialExtension)

    ASN1_ITEM_TEMPLATE(PartialExtensions) = ASN1_EX_TEMPLATE_TYPE(ASN1_TFLG_SEQUENCE_OF, 0, PartialExtensions,
                                                                  PartialExtension)
        static_ASN1_ITEM_TEMPLATE_END(PartialExtensions)
// NOLINTEND

}  // namespace

Result<std::vector<ExtensionTemplate>> read_extension_templates(BytesView der) {
  auto list = decode<STACK_OF(PartialExtension)>(der, ASN1_ITEM_rptr(PartialExtensions), malformed_attributes({}));
  if (!list) return fail(std::move(list.error()));
  const int count = sk_PartialExtension_num(list->get());
  if (count == 0) return fail(malformed_attributes("a list of extensions is empty"));
  std::vector<ExtensionTemplate> extensions;
  std::set<std::string> seen;
  for (int i = 0; i < count; ++i) {
    const PartialExtension& extension = *sk_PartialExtension_value(list->get(), i);
    auto oid = dotted(extension.oid);
    if (!oid) return fail(malformed_attributes("the OID of an extension is too long"));
    if (!seen.insert(*oid).second) return fail(malformed_attributes("extension " + *oid + " is there twice"));
    extensions.push_back({.oid = std::move(*oid), .critical = extension.critical > 0, .value = std::nullopt});
    if (extension.value != nullptr) extensions.back().value = to_bytes(octets(extension.value));
  }
  return extensions;
}

}  // namespace devid::pki
