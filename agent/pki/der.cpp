#include "agent/pki/der.h"

#include <openssl/err.h>

#include <algorithm>
#include <utility>

#include "base/openssl.h"

namespace devid::pki {
namespace {

/// DER has one encoding for each value: other lengths and indefinite ones change the octets, another order of a SET
/// only their order.
bool is_der(BytesView read, const ASN1_VALUE* value, const ASN1_ITEM* type) {
  unsigned char* data = nullptr;
  const int size = ASN1_item_i2d(value, &data, type);
  Bytes again = size > 0 ? to_bytes(data, static_cast<std::size_t>(size)) : Bytes();
  OPENSSL_free(data);
  Bytes before = to_bytes(read);
  std::ranges::sort(again);
  std::ranges::sort(before);
  return again == before;
}

}  // namespace

Result<ASN1_VALUE*> decode_value(BytesView der, const ASN1_ITEM* type, Error refusal, Form form) {
  ERR_clear_error();
  const unsigned char* position = as_uchar(der);
  const unsigned char* const end = position + der.size();
  Item<ASN1_VALUE> value(ASN1_item_d2i(nullptr, &position, static_cast<long>(der.size()), type), FreeItem{type});
  if (!value)
    refusal.reason = openssl_reason();
  else if (position != end)
    refusal.reason = std::to_string(end - position) + " bytes follow its end";
  else if (form == Form::der && !is_der(der, value.get(), type))
    refusal.reason = "it is not DER";
  else
    return value.release();
  ERR_clear_error();
  return fail(std::move(refusal));
}

BytesView octets(const ASN1_STRING* string) {
  return std::as_bytes(std::span(ASN1_STRING_get0_data(string), static_cast<std::size_t>(ASN1_STRING_length(string))));
}

}  // namespace devid::pki
