#include "agent/pki/cmc_syntax.h"

#include <openssl/asn1t.h>

namespace devid::pki::cmc {
namespace {

// clang-format off
// NOLINTBEGIN: OpenSSL's macros
ASN1_SEQUENCE(TaggedAttribute) = {
    ASN1_SIMPLE(TaggedAttribute, id, ASN1_INTEGER),
    ASN1_SIMPLE(TaggedAttribute, type, ASN1_OBJECT),
    ASN1_SET_OF(TaggedAttribute, values, ASN1_ANY),
} static_ASN1_SEQUENCE_END(TaggedAttribute)

ASN1_SEQUENCE(TaggedCertificationRequest) = {
    ASN1_SIMPLE(TaggedCertificationRequest, id, ASN1_INTEGER),
    ASN1_SIMPLE(TaggedCertificationRequest, request, X509_REQ),
} static_ASN1_SEQUENCE_END(TaggedCertificationRequest)

ASN1_CHOICE(TaggedRequest) = {
    ASN1_IMP(TaggedRequest, value.pkcs10, TaggedCertificationRequest, 0),
} static_ASN1_CHOICE_END(TaggedRequest)

ASN1_SEQUENCE(PkiData) = {
    ASN1_SEQUENCE_OF(PkiData, controls, TaggedAttribute),
    ASN1_SEQUENCE_OF(PkiData, requests, TaggedRequest),
    ASN1_SEQUENCE_OF(PkiData, messages, ASN1_ANY),
    ASN1_SEQUENCE_OF(PkiData, others, ASN1_ANY),
} static_ASN1_SEQUENCE_END(PkiData)

ASN1_SEQUENCE(PkiResponse) = {
    ASN1_SEQUENCE_OF(PkiResponse, controls, TaggedAttribute),
    ASN1_SEQUENCE_OF(PkiResponse, messages, ASN1_ANY),
    ASN1_SEQUENCE_OF(PkiResponse, others, ASN1_ANY),
} static_ASN1_SEQUENCE_END(PkiResponse)

ASN1_SEQUENCE(StatusInfo) = {
    ASN1_SIMPLE(StatusInfo, status, ASN1_INTEGER),
    ASN1_SEQUENCE_OF(StatusInfo, bodies, ASN1_ANY),
    ASN1_OPT(StatusInfo, text, ASN1_UTF8STRING),
    ASN1_OPT(StatusInfo, other, ASN1_ANY),
} static_ASN1_SEQUENCE_END(StatusInfo)

ASN1_SEQUENCE(PendInfo) = {
    ASN1_SIMPLE(PendInfo, token, ASN1_OCTET_STRING),
    ASN1_SIMPLE(PendInfo, time, ASN1_GENERALIZEDTIME),
} static_ASN1_SEQUENCE_END(PendInfo)
// NOLINTEND
    // clang-format on

    template <class T>
    void free_item(T * item, const ASN1_ITEM* as) noexcept {
  ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(item), as);
}

template <class T>
Item<T> make(const ASN1_ITEM* as) {
  return Item<T>(reinterpret_cast<T*>(ASN1_item_new(as)));
}

template <class T>
Item<T> parse(BytesView der, const ASN1_ITEM* as) {
  const unsigned char* position = as_uchar(der);
  Item<T> item(reinterpret_cast<T*>(ASN1_item_d2i(nullptr, &position, static_cast<long>(der.size()), as)));
  return position == as_uchar(der) + der.size() ? std::move(item) : nullptr;
}

}  // namespace

void FreeItem::operator()(TaggedAttribute* item) const noexcept { free_item(item, ASN1_ITEM_rptr(TaggedAttribute)); }
void FreeItem::operator()(TaggedRequest* item) const noexcept { free_item(item, ASN1_ITEM_rptr(TaggedRequest)); }
void FreeItem::operator()(PkiData* item) const noexcept { free_item(item, ASN1_ITEM_rptr(PkiData)); }
void FreeItem::operator()(PkiResponse* item) const noexcept { free_item(item, ASN1_ITEM_rptr(PkiResponse)); }
void FreeItem::operator()(StatusInfo* item) const noexcept { free_item(item, ASN1_ITEM_rptr(StatusInfo)); }
void FreeItem::operator()(PendInfo* item) const noexcept { free_item(item, ASN1_ITEM_rptr(PendInfo)); }

Item<TaggedAttribute> new_attribute() { return make<TaggedAttribute>(ASN1_ITEM_rptr(TaggedAttribute)); }

Item<TaggedRequest> new_request() {
  auto request = make<TaggedRequest>(ASN1_ITEM_rptr(TaggedRequest));
  if (!request) return nullptr;
  request->type = 0;
  request->value.pkcs10 =
      reinterpret_cast<TaggedCertificationRequest*>(ASN1_item_new(ASN1_ITEM_rptr(TaggedCertificationRequest)));
  return request->value.pkcs10 == nullptr ? nullptr : std::move(request);
}

Item<PkiData> new_data() { return make<PkiData>(ASN1_ITEM_rptr(PkiData)); }

Bytes encode(const PkiData& data) {
  unsigned char* der = nullptr;
  const int size = ASN1_item_i2d(reinterpret_cast<const ASN1_VALUE*>(&data), &der, ASN1_ITEM_rptr(PkiData));
  Bytes bytes = size > 0 ? to_bytes(der, static_cast<std::size_t>(size)) : Bytes();
  OPENSSL_free(der);
  return bytes;
}

Item<PkiResponse> parse_response(BytesView der) { return parse<PkiResponse>(der, ASN1_ITEM_rptr(PkiResponse)); }
Item<StatusInfo> parse_status(BytesView der) { return parse<StatusInfo>(der, ASN1_ITEM_rptr(StatusInfo)); }
Item<PendInfo> parse_pending(BytesView der) { return parse<PendInfo>(der, ASN1_ITEM_rptr(PendInfo)); }

}  // namespace devid::pki::cmc
