#include "tokens/pkcs11/uri.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace devid::pkcs11 {
namespace {

constexpr std::size_t longest_uri = 4096;
using Text = Owned<char, std::free>;

Error not_a_uri(Errc code, std::string reason) {
  return {.code = code,
          .retry = code == Errc::usage ? Retry::never : Retry::after_operator,
          .what = "this is not a PKCS#11 URI that devid can use",
          .reason = std::move(reason),
          .hint =
              "write it as RFC 7512 says: \"pkcs11:token=LABEL;serial=NUMBER\" for a token, \"pkcs11:id=%01\" or "
              "\"pkcs11:object=LABEL\" for a key or certificate in it"};
}

Error out_of_memory() { return {.code = Errc::internal, .retry = Retry::later, .what = "cannot write a PKCS#11 URI"}; }

BytesView value_of(const CK_ATTRIBUTE* attribute) {
  if (attribute == nullptr || attribute->pValue == nullptr) return {};
  return std::as_bytes(std::span(static_cast<const unsigned char*>(attribute->pValue), attribute->ulValueLen));
}

CK_ATTRIBUTE attribute_of(CK_ATTRIBUTE_TYPE type, BytesView value) {
  return {.type = type, .pValue = const_cast<std::byte*>(value.data()), .ulValueLen = value.size()};  // NOLINT
}

Result<std::string> format(P11KitUri& uri, P11KitUriType what) {
  char* text = nullptr;
  if (p11_kit_uri_format(&uri, what, &text) != P11_KIT_URI_OK) return fail(out_of_memory());
  const Text owned(text);
  return std::string(text);
}

bool set_object(P11KitUri& uri, const ObjectName& object) {
  CK_ATTRIBUTE id = attribute_of(CKA_ID, object.id);
  CK_ATTRIBUTE label = attribute_of(CKA_LABEL, as_bytes(object.label));
  return (object.id.empty() || p11_kit_uri_set_attribute(&uri, &id) == P11_KIT_URI_OK) &&
         (object.label.empty() || p11_kit_uri_set_attribute(&uri, &label) == P11_KIT_URI_OK);
}

}  // namespace

Result<Uri> Uri::parse(std::string_view text, Errc code) {
  if (text.size() > longest_uri) return fail(not_a_uri(code, "it is too long"));
  if (text.find('\0') != std::string_view::npos) return fail(not_a_uri(code, "there is a zero in it"));
  Handle uri(p11_kit_uri_new());
  if (!uri) return fail(out_of_memory());
  const int parsed = p11_kit_uri_parse(std::string(text).c_str(), P11_KIT_URI_FOR_ANY, uri.get());
  if (parsed != P11_KIT_URI_OK) return fail(not_a_uri(code, p11_kit_uri_message(parsed)));
  // What was written may be the PIN: it is not repeated.
  if (p11_kit_uri_get_pin_value(uri.get()) != nullptr)
    return fail(not_a_uri(code, "it has a pin-value; a PIN belongs into a credential or a file: pin-source"));
  if (p11_kit_uri_any_unrecognized(uri.get()) != 0)
    return fail(not_a_uri(code, "it has an attribute that is not known here"));
  return Uri(std::move(uri));
}

bool Uri::matches(const CK_INFO& info) const { return p11_kit_uri_match_module_info(uri_.get(), &info) == 1; }

bool Uri::matches(CK_SLOT_ID id, const CK_SLOT_INFO& info) const {
  const CK_SLOT_ID wanted = p11_kit_uri_get_slot_id(uri_.get());
  return (wanted == static_cast<CK_SLOT_ID>(-1) || wanted == id) && p11_kit_uri_match_slot_info(uri_.get(), &info) == 1;
}

bool Uri::matches(const CK_TOKEN_INFO& info) const { return p11_kit_uri_match_token_info(uri_.get(), &info) == 1; }

ObjectName Uri::object() const {
  return {.id = to_bytes(value_of(p11_kit_uri_get_attribute(uri_.get(), CKA_ID))),
          .label = std::string(as_text(value_of(p11_kit_uri_get_attribute(uri_.get(), CKA_LABEL))))};
}

std::optional<CK_OBJECT_CLASS> Uri::type() const {
  const BytesView value = value_of(p11_kit_uri_get_attribute(uri_.get(), CKA_CLASS));
  CK_OBJECT_CLASS type = 0;
  if (value.size() != sizeof type) return std::nullopt;
  std::memcpy(&type, value.data(), sizeof type);
  return type;
}

std::string Uri::module_path() const {
  const char* path = p11_kit_uri_get_module_path(uri_.get());
  return path == nullptr ? "" : path;
}

std::string Uri::pin_source() const {
  const char* source = p11_kit_uri_get_pin_source(uri_.get());
  return source == nullptr ? "" : source;
}

Result<std::string> key_uri(const CK_TOKEN_INFO& token, const ObjectName& key) {
  const Owned<P11KitUri, p11_kit_uri_free> uri(p11_kit_uri_new());
  if (!uri || !set_object(*uri, key)) return fail(out_of_memory());
  CK_OBJECT_CLASS type = CKO_PRIVATE_KEY;
  CK_ATTRIBUTE of_type{.type = CKA_CLASS, .pValue = &type, .ulValueLen = sizeof type};
  if (p11_kit_uri_set_attribute(uri.get(), &of_type) != P11_KIT_URI_OK) return fail(out_of_memory());
  CK_TOKEN_INFO& said = *p11_kit_uri_get_token_info(uri.get());
  std::ranges::copy(token.label, std::begin(said.label));
  std::ranges::copy(token.manufacturerID, std::begin(said.manufacturerID));
  std::ranges::copy(token.model, std::begin(said.model));
  std::ranges::copy(token.serialNumber, std::begin(said.serialNumber));
  return format(*uri, P11_KIT_URI_FOR_OBJECT_ON_TOKEN);
}

std::string object_location(const ObjectName& object) {
  const Owned<P11KitUri, p11_kit_uri_free> uri(p11_kit_uri_new());
  if (!uri || !set_object(*uri, object)) return "pkcs11:";
  return format(*uri, P11_KIT_URI_FOR_OBJECT).value_or("pkcs11:");
}

}  // namespace devid::pkcs11
