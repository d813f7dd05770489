#include "tokens/pkcs11/certificate_object.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/openssl.h"
#include "tokens/pkcs11/ckr.h"

namespace devid::pkcs11 {
namespace {

constexpr std::size_t largest_certificate = std::size_t{16} * 1024;
constexpr std::size_t most_listed = 64;
constexpr std::size_t most_certificates = 1024;
constexpr std::size_t most_of_one_label = 64;

Result<Bytes> value_of(Session& session, const Object& certificate) {
  constexpr std::array<CK_ATTRIBUTE_TYPE, 1> asked{CKA_VALUE};
  const auto attributes = session.read(certificate.handle, asked);
  if (!attributes) return fail(attributes.error());
  const BytesView value = attributes->bytes(CKA_VALUE);
  if (!value.empty() && value.size() <= largest_certificate) return to_bytes(value);
  return fail({.code = Errc::idevid_missing,
               .retry = Retry::after_operator,
               .what = value.empty() ? "the certificate object holds no certificate"
                                     : "the certificate object is larger than 16 KiB"});
}

X509Cert parse(BytesView der) {
  const unsigned char* position = as_uchar(der);
  X509Cert certificate(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
  ERR_clear_error();
  return certificate;
}

/// One that cannot be read stays in the list, for whoever asks why.
bool is_ca(const Result<Bytes>& content) {
  const X509Cert certificate = content ? parse(*content) : nullptr;
  return certificate && (X509_get_extension_flags(certificate.get()) & EXFLAG_CA) != 0;
}

template <class T>
Bytes der_of(int (*encode)(const T*, unsigned char**), const T* value) {
  unsigned char* der = nullptr;
  const int size = encode(value, &der);
  Bytes bytes = size <= 0 ? Bytes{} : to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

/// PKCS#11 v2.40, 4.6.3.
Result<Template> certificate_template(const ObjectName& name, BytesView der) {
  const X509Cert certificate = parse(der);
  if (!certificate) return fail({.code = Errc::usage, .retry = Retry::never, .what = "this is not a certificate"});
  Template object;
  object.add(CKA_CLASS, CK_ULONG{CKO_CERTIFICATE}).add(CKA_CERTIFICATE_TYPE, CK_ULONG{CKC_X_509});
  object.add(CKA_TOKEN, true).add(CKA_PRIVATE, false);
  object.add(CKA_ID, name.id).add(CKA_LABEL, as_bytes(name.label));
  object.add(CKA_SUBJECT, der_of<X509_NAME>(i2d_X509_NAME, X509_get_subject_name(certificate.get())));
  object.add(CKA_ISSUER, der_of<X509_NAME>(i2d_X509_NAME, X509_get_issuer_name(certificate.get())));
  object.add(CKA_SERIAL_NUMBER, der_of<ASN1_INTEGER>(i2d_ASN1_INTEGER, X509_get0_serialNumber(certificate.get())));
  object.add(CKA_VALUE, der);
  return object;
}

}  // namespace

Result<Bytes> read_certificate(Session& session, const ObjectName& name) {
  const auto find = [&] {
    if (!name.id.empty()) return session.objects_of(name.id);
    return session.find(std::move(Template().add(CKA_LABEL, as_bytes(name.label))), most_of_one_label);
  };
  auto objects = find();
  if (objects && !name.id.empty() && object_of(*objects, CKO_CERTIFICATE) == nullptr) {
    session.forget(name.id);  // it may have been written meanwhile
    objects = find();
  }
  if (!objects) return fail(std::move(objects.error()));
  const auto certificate = the_object(*objects, CKO_CERTIFICATE, name, Errc::idevid_missing);
  if (!certificate) return fail(certificate.error());
  return value_of(session, *certificate);
}

Result<std::vector<CertificateListing>> list_certificates(Session& session) {
  Template wanted;
  wanted.add(CKA_CLASS, CK_ULONG{CKO_CERTIFICATE}).add(CKA_CERTIFICATE_TYPE, CK_ULONG{CKC_X_509});
  const auto objects = session.find(std::move(wanted), most_certificates);
  if (!objects) return fail(objects.error());
  std::vector<CertificateListing> listings;
  for (const Object& object : *objects) {
    if (is_ours(object) || listings.size() >= most_listed) continue;
    auto content = value_of(session, object);
    if (session.is_lost()) return fail(std::move(content.error()));
    if (is_ca(content)) continue;
    listings.push_back(
        {.location = listed_location(object.name, *objects, CKO_CERTIFICATE), .content = std::move(content)});
  }
  std::ranges::sort(listings, {}, &CertificateListing::location);
  return listings;
}

Result<> store_certificate(Session& session, const ObjectName& key, BytesView certificate) {
  const auto objects = session.objects_of(key.id);
  if (!objects) return fail(objects.error());
  const auto made = the_object(*objects, CKO_PRIVATE_KEY, key, Errc::token_no_such_key);
  if (!made) return fail(made.error());
  if (!is_ours(*made)) {
    return fail({.code = Errc::token_wrong_key,
                 .retry = Retry::after_operator,
                 .what = "devid did not make the key and writes no certificate beside it"});
  }
  if (!session.is_writable()) return fail(to_error({.name = "C_OpenSession", .rv = CKR_TOKEN_WRITE_PROTECTED}));
  auto wanted = certificate_template(made->name, certificate);
  if (!wanted) return fail(std::move(wanted.error()));
  const auto written = session.create(std::move(*wanted));
  if (!written) return fail(written.error());
  session.forget(key.id);
  // The old ones go last, so that there is always one.
  for (const Object& object : *objects)
    if (object.type == CKO_CERTIFICATE && is_ours(object))
      if (auto destroyed = session.destroy(object.handle); !destroyed) return destroyed;
  std::vector<Object> now = *objects;
  std::erase_if(now, [](const Object& object) { return object.type == CKO_CERTIFICATE && is_ours(object); });
  now.push_back({.handle = *written, .type = CKO_CERTIFICATE, .name = made->name});
  session.remember(key.id, std::move(now));
  return {};
}

}  // namespace devid::pkcs11
