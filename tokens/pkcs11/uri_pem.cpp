#include "tokens/pkcs11/uri_pem.h"

#include <openssl/asn1.h>
#include <openssl/asn1t.h>
#include <openssl/pem.h>

#include <memory>
#include <utility>

#include "base/openssl.h"
#include "tokens/key_file.h"

namespace devid::pkcs11 {
namespace {

struct ProviderUri {
  ASN1_VISIBLESTRING* description;
  ASN1_UTF8STRING* uri;
};

// NOLINTBEGIN
ASN1_SEQUENCE(ProviderUri) = {ASN1_SIMPLE(ProviderUri, description, ASN1_VISIBLESTRING),
                              ASN1_SIMPLE(ProviderUri, uri, ASN1_UTF8STRING)} static_ASN1_SEQUENCE_END(ProviderUri)
    // NOLINTEND

    constexpr const char* pem_name = "PKCS#11 PROVIDER URI";
constexpr std::string_view version = "PKCS#11 Provider URI v1.0";

struct FreeItem {
  void operator()(ProviderUri* item) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(item), ASN1_ITEM_rptr(ProviderUri));
  }
};
using Item = std::unique_ptr<ProviderUri, FreeItem>;
struct FreeMemory {
  void operator()(void* memory) const noexcept { OPENSSL_free(memory); }
};
template <class T>
using Memory = std::unique_ptr<T, FreeMemory>;

Error not_a_key(std::string reason) {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "this is not a key file of a PKCS#11 token",
          .reason = std::move(reason),
          .hint = "if the file was damaged or comes from another device, remove the generation and enroll again"};
}

Error out_of_memory() { return openssl_error(Errc::internal, Retry::later, "cannot encode a key file"); }

std::string_view text_of(const ASN1_STRING* string) {
  return as_text(
      std::as_bytes(std::span(ASN1_STRING_get0_data(string), static_cast<std::size_t>(ASN1_STRING_length(string)))));
}

Bytes der_of(const ProviderUri& item) {
  unsigned char* der = nullptr;
  const int size = ASN1_item_i2d(reinterpret_cast<const ASN1_VALUE*>(&item), &der, ASN1_ITEM_rptr(ProviderUri));
  const Memory<unsigned char> owned(der);
  return size <= 0 ? Bytes{} : to_bytes(der, static_cast<std::size_t>(size));
}

}  // namespace

Result<std::string> write_uri_pem(std::string_view uri) {
  const Item item(reinterpret_cast<ProviderUri*>(ASN1_item_new(ASN1_ITEM_rptr(ProviderUri))));
  if (!item || ASN1_STRING_set(item->description, version.data(), static_cast<int>(version.size())) != 1 ||
      ASN1_STRING_set(item->uri, uri.data(), static_cast<int>(uri.size())) != 1)
    return fail(out_of_memory());
  const Bytes der = der_of(*item);
  const Bio bio(BIO_new(BIO_s_mem()));
  if (der.empty() || !bio ||
      PEM_write_bio(bio.get(), pem_name, "", as_uchar(BytesView(der)), static_cast<long>(der.size())) <= 0)
    return fail(out_of_memory());
  return std::string(as_text(bio_bytes(bio.get())));
}

Result<std::string> read_uri_pem(std::string_view pem) {
  const auto der = der_in_key_file(pem, pem_name, not_a_key({}));
  if (!der) return fail(der.error());
  const unsigned char* position = as_uchar(BytesView(*der));
  const unsigned char* end = position + der->size();
  const Item item(reinterpret_cast<ProviderUri*>(
      ASN1_item_d2i(nullptr, &position, static_cast<long>(der->size()), ASN1_ITEM_rptr(ProviderUri))));
  if (!item) return fail(not_a_key(openssl_reason()));
  if (position != end) return fail(not_a_key("there are bytes after its end"));
  if (text_of(item->description) != version) return fail(not_a_key("it is not a \"" + std::string(version) + "\""));
  return std::string(text_of(item->uri));
}

}  // namespace devid::pkcs11
