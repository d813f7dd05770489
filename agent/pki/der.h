#pragma once

#include <openssl/asn1t.h>

#include <memory>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::pki {

/// Frees a value by its description.
struct FreeItem {
  const ASN1_ITEM* type = nullptr;
  template <class T>
  void operator()(T* value) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(value), type);
  }
};
template <class T>
using Item = std::unique_ptr<T, FreeItem>;

/// How strict to be. Other encodings than DER are what a CA may put into an extension, for which it answers.
enum class Form { der, any };

/// Decodes one value by OpenSSL's description of its type. What follows is an error, and so is what is not DER but for
/// the order within a SET, which servers get wrong. Error: `refusal`, with the reason.
Result<ASN1_VALUE*> decode_value(BytesView der, const ASN1_ITEM* type, Error refusal, Form form = Form::der);

template <class T>
Result<Item<T>> decode(BytesView der, const ASN1_ITEM* type, Error refusal, Form form = Form::der) {
  auto value = decode_value(der, type, std::move(refusal), form);
  if (!value) return fail(std::move(value.error()));
  return Item<T>(reinterpret_cast<T*>(*value), FreeItem{type});
}

/// The octets of a string; of a SEQUENCE or SET that OpenSSL holds as ANY, its whole encoding.
BytesView octets(const ASN1_STRING* string);

}  // namespace devid::pki
