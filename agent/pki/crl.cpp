#include "agent/pki/crl.h"

#include <openssl/asn1t.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <optional>

#include "agent/pki/general_name.h"
#include "agent/pki/revocation_urls.h"

namespace devid::pki {
namespace {

// CertificateList and TBSCertList of RFC 5280 5.1. OpenSSL's own X509_CRL makes objects of every entry, which take ten
// times the memory of their encoding. Here what was signed, and the list of entries in it, stay encoded.
struct SignedList {
  ASN1_STRING* content;
  X509_ALGOR* algorithm;
  ASN1_BIT_STRING* signature;
};
struct ListContent {
  ASN1_INTEGER* version;
  X509_ALGOR* algorithm;
  X509_NAME* issuer;
  ASN1_TIME* this_update;
  ASN1_TIME* next_update;
  ASN1_STRING* entries;
  STACK_OF(X509_EXTENSION) * extensions;
};

// NOLINTBEGIN
// clang-format off
ASN1_SEQUENCE(SignedList) = {
  ASN1_SIMPLE(SignedList, content, ASN1_SEQUENCE),
  ASN1_SIMPLE(SignedList, algorithm, X509_ALGOR),
  ASN1_SIMPLE(SignedList, signature, ASN1_BIT_STRING)
} static_ASN1_SEQUENCE_END(SignedList)
ASN1_SEQUENCE(ListContent) = {
  ASN1_OPT(ListContent, version, ASN1_INTEGER),
  ASN1_SIMPLE(ListContent, algorithm, X509_ALGOR),
  ASN1_SIMPLE(ListContent, issuer, X509_NAME),
  ASN1_SIMPLE(ListContent, this_update, ASN1_TIME),
  ASN1_OPT(ListContent, next_update, ASN1_TIME),
  ASN1_OPT(ListContent, entries, ASN1_SEQUENCE),
  ASN1_EXP_SEQUENCE_OF_OPT(ListContent, extensions, X509_EXTENSION, 0)
} static_ASN1_SEQUENCE_END(ListContent)
    // clang-format on
    // NOLINTEND

    struct FreeItem {
  void operator()(SignedList* list) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(list), ASN1_ITEM_rptr(SignedList));
  }
  void operator()(ListContent* content) const noexcept {
    ASN1_item_free(reinterpret_cast<ASN1_VALUE*>(content), ASN1_ITEM_rptr(ListContent));
  }
};
template <class T>
using Item = std::unique_ptr<T, FreeItem>;
using Entry = Owned<X509_REVOKED, X509_REVOKED_free>;
using Scope = Owned<ISSUING_DIST_POINT, ISSUING_DIST_POINT_free>;
using Reason = Owned<ASN1_ENUMERATED, ASN1_ENUMERATED_free>;

constexpr std::string_view cannot_read = "cannot read a CRL";
constexpr long version_2 = 1;
constexpr std::array known_extensions = {NID_authority_key_identifier, NID_crl_number, NID_issuing_distribution_point};
constexpr std::array known_entry_extensions = {NID_crl_reason, NID_invalidity_date};

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = std::string(cannot_read),
          .reason = std::move(reason)};
}

Error unreadable() { return openssl_error(Errc::answer_malformed, Retry::later, cannot_read); }

BytesView octets_of(const ASN1_STRING* string) {
  return std::as_bytes(std::span(ASN1_STRING_get0_data(string), static_cast<std::size_t>(ASN1_STRING_length(string))));
}

template <class T>
Result<Item<T>> decode(BytesView der, const ASN1_ITEM* item) {
  const unsigned char* position = as_uchar(der);
  const unsigned char* const end = position + der.size();
  Item<T> value(reinterpret_cast<T*>(ASN1_item_d2i(nullptr, &position, static_cast<long>(der.size()), item)));
  if (!value) return fail(unreadable());
  if (position != end) return fail(malformed(std::to_string(end - position) + " bytes follow the CRL"));
  return value;
}

/// Takes off the PEM only: OpenSSL's functions for a CRL in PEM ask for a passphrase if it says that it is encrypted.
Result<Item<SignedList>> parse_pem(BytesView pem) {
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  char* name = nullptr;
  char* header = nullptr;
  unsigned char* data = nullptr;
  long size = 0;
  if (PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) return fail(unreadable());
  const bool is_crl = std::string_view(name) == PEM_STRING_X509_CRL && std::string_view(header).empty();
  auto list = is_crl ? decode<SignedList>({reinterpret_cast<const std::byte*>(data), static_cast<std::size_t>(size)},
                                          ASN1_ITEM_rptr(SignedList))
                     : fail(malformed("it is no CRL, or encrypted: " + printable(name, 60)));
  OPENSSL_free(name);
  OPENSSL_free(header);
  OPENSSL_free(data);
  return list;
}

/// RFC 5280 4.2.1.13 wants DER; some places serve PEM.
Result<Item<SignedList>> parse(BytesView der_or_pem) {
  if (der_or_pem.size() > longest_crl)
    return fail(malformed("it is longer than " + std::to_string(longest_crl) + " bytes"));
  if (!as_text(der_or_pem).starts_with("-----BEGIN")) return decode<SignedList>(der_or_pem, ASN1_ITEM_rptr(SignedList));
  return parse_pem(der_or_pem);
}

/// By the issuer of the certificate: its name, its key, and that the key may sign CRLs (RFC 5280 6.3.3 f, g).
Result<> verify(const SignedList& list, const ListContent& content, const Certificate& issuer) {
  if (X509_NAME_cmp(content.issuer, X509_get_subject_name(issuer.get())) != 0)
    return fail(unusable_statement("it is by another CA than the certificate"));
  if ((X509_get_key_usage(issuer.get()) & static_cast<unsigned>(KU_CRL_SIGN)) == 0)
    return fail(unusable_statement("the CA's key may not sign CRLs"));
  if (X509_ALGOR_cmp(list.algorithm, content.algorithm) != 0)
    return fail(unusable_statement("it names two signature algorithms"));
  if (auto strong = check_digest(list.algorithm); !strong) return strong;
  EVP_PKEY* const key = X509_get0_pubkey(issuer.get());
  if (key != nullptr &&
      ASN1_item_verify(ASN1_ITEM_rptr(ASN1_SEQUENCE), list.algorithm, list.signature, list.content, key) == 1)
    return {};
  return fail(unusable_statement("its signature is not by the certificate's issuer: " + openssl_reason()));
}

/// Whether one of the places that the CRL says it is from is one that the certificate names. Else anybody on the way
/// could give the part of a CRL that some other certificates are in (RFC 5280 6.3.3 b 2 i).
bool is_from(const DIST_POINT_NAME* place, const Certificate& subject) {
  if (place->type != 0) return false;
  const std::vector<std::string> wanted = revocation_urls(subject).crl;
  for (int i = 0; i < sk_GENERAL_NAME_num(place->name.fullname); ++i) {
    const GENERAL_NAME* const name = sk_GENERAL_NAME_value(place->name.fullname, i);
    if (name->type != GEN_URI) continue;
    if (std::ranges::find(wanted, as_text(octets_of(name->d.uniformResourceIdentifier))) != wanted.end()) return true;
  }
  return false;
}

/// What the list is complete for: its issuingDistributionPoint (RFC 5280 5.2.5).
Result<> check_scope(const ListContent& content, const Certificate& subject) {
  int critical = 0;
  const Scope scope(
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the NID stands for
      static_cast<ISSUING_DIST_POINT*>(
          X509V3_get_d2i(content.extensions, NID_issuing_distribution_point, &critical, nullptr)));
  ERR_clear_error();
  if (!scope && critical == -1) return {};
  if (!scope) return fail(malformed("its issuing distribution point is none"));
  const bool is_ca = (X509_get_extension_flags(subject.get()) & EXFLAG_CA) != 0;
  if (scope->indirectCRL > 0) return fail(unusable_statement("it is an indirect CRL"));
  if (scope->onlysomereasons != nullptr) return fail(unusable_statement("it is for some reasons only"));
  if (scope->onlyattr > 0) return fail(unusable_statement("it is for attribute certificates only"));
  if (scope->onlyCA > 0 && !is_ca) return fail(unusable_statement("it is for CAs only"));
  if (scope->onlyuser > 0 && is_ca) return fail(unusable_statement("it is for end entities only"));
  if (scope->distpoint != nullptr && !is_from(scope->distpoint, subject))
    return fail(unusable_statement("it is for other distribution points than the certificate's"));
  return {};
}

Result<> check_extensions(const ListContent& content) {
  if (X509v3_get_ext_by_NID(content.extensions, NID_delta_crl, -1) >= 0)
    return fail(unusable_statement("it is a delta CRL"));
  return check_critical(content.extensions, known_extensions);
}

/// What an entry says of its certificate.
struct Revocation {
  bool on_hold;
  std::string detail;
};

Revocation read_entry(const X509_REVOKED* entry) {
  const Reason reason(
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the NID stands for
      static_cast<ASN1_ENUMERATED*>(X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, nullptr, nullptr)));
  ERR_clear_error();
  const long number = reason ? ASN1_ENUMERATED_get(reason.get()) : -1;
  return {.on_hold = number == CRL_REASON_CERTIFICATE_HOLD,
          .detail = revocation_detail(X509_REVOKED_get0_revocationDate(entry), number)};
}

/// Goes through all entries, one at a time; what the one that was looked for says. RFC 5280 5.3: a critical
/// extension that is not known spoils the whole list, wherever it is.
Result<std::optional<Revocation>> look_up(const ListContent& content, const Certificate& subject) {
  std::optional<Revocation> found;
  if (content.entries == nullptr) return found;
  const BytesView encoded = octets_of(content.entries);
  const unsigned char* position = as_uchar(encoded);
  const unsigned char* const end = position + encoded.size();
  long size = 0;
  int tag = 0;
  int tag_class = 0;
  const int form = ASN1_get_object(&position, &size, &tag, &tag_class, end - position);
  if (form != V_ASN1_CONSTRUCTED || size != end - position) return fail(malformed("its entries are no list"));
  const ASN1_INTEGER* const wanted = X509_get0_serialNumber(subject.get());
  while (position != end) {
    const Entry entry(d2i_X509_REVOKED(nullptr, &position, end - position));
    if (!entry) return fail(unreadable());
    if (auto checked = check_critical(X509_REVOKED_get0_extensions(entry.get()), known_entry_extensions); !checked)
      return fail(std::move(checked.error()));
    if (ASN1_INTEGER_cmp(X509_REVOKED_get0_serialNumber(entry.get()), wanted) == 0) found = read_entry(entry.get());
  }
  return found;
}

}  // namespace

Result<RevocationStatement> read_crl(BytesView der_or_pem, const RevocationQuestion& question) {
  ERR_clear_error();
  auto list = parse(der_or_pem);
  if (!list) return fail(std::move(list.error()));
  auto content = decode<ListContent>(octets_of((*list)->content), ASN1_ITEM_rptr(ListContent));
  if (!content) return fail(std::move(content.error()));
  const ListContent& fields = **content;
  if (fields.version != nullptr && ASN1_INTEGER_get(fields.version) != version_2)
    return fail(malformed("it is of a version that is not known"));
  if (auto verified = verify(**list, fields, question.issuer); !verified) return fail(std::move(verified.error()));
  list->reset();
  if (fields.next_update == nullptr) return fail(unusable_statement("it does not say when the next one comes"));
  const auto until = valid_until(fields.this_update, fields.next_update, question.now);
  if (!until) return fail(until.error());
  if (auto checked = check_extensions(fields); !checked) return fail(std::move(checked.error()));
  if (auto checked = check_scope(fields, question.subject); !checked) return fail(std::move(checked.error()));
  auto revoked = look_up(fields, question.subject);
  if (!revoked) return fail(std::move(revoked.error()));
  std::optional<Revocation>& entry = *revoked;
  if (!entry) return RevocationStatement{.until = *until};
  return RevocationStatement{
      .revoked = true, .on_hold = entry->on_hold, .detail = std::move(entry->detail), .until = *until};
}

}  // namespace devid::pki
