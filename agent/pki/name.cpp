#include "agent/pki/name.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/objects.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>

#include "agent/pki/certificate.h"
#include "agent/pki/encoded_name.h"
#include "agent/pki/oid.h"
#include "base/openssl.h"

namespace devid::pki {
namespace {

constexpr std::size_t longest_value = 2000;  ///< bytes of any name; RFC 5280 has lower bounds for most attributes
constexpr std::size_t longest_host = 253;    ///< RFC 1035 2.3.4
constexpr std::size_t longest_label = 63;
constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
constexpr std::string_view digits = "0123456789";

/// The attributes that have a name of their own here, with the longest value in characters (RFC 5280 appendix A; RFC
/// 4519 where it has none). Others are written as an OID.
constexpr std::array attributes = std::to_array<std::pair<std::string_view, std::size_t>>({
    {"CN", 64},
    {"SN", 64},
    {"GN", 64},
    {"initials", 64},
    {"name", 64},
    {"serialNumber", 64},
    {"C", 2},
    {"L", 128},
    {"ST", 128},
    {"street", 128},
    {"postalCode", 40},
    {"O", 64},
    {"OU", 64},
    {"title", 64},
    {"dnQualifier", 64},
    {"pseudonym", 128},
    {"generationQualifier", 64},
    {"emailAddress", 255},
    {"DC", 63},
    {"UID", 256},
    {"businessCategory", 128},
    {"organizationIdentifier", 128},
});

Error invalid(const std::string& what, std::string_view reason) {
  return {.code = Errc::config_invalid,
          .retry = Retry::after_operator,
          .what = "cannot put " + what + " into a certificate request",
          .reason = std::string(reason),
          .hint = "see [subject] and [subject_alternative_names] in devid.toml(5)"};
}

Error invalid(const NameAttribute& attribute, std::string_view reason) {
  return invalid("subject attribute " + printable(attribute.type, 80) + "=" + printable(attribute.value, 80), reason);
}

Error invalid(const AlternativeName& name, std::string_view reason) {
  return invalid("alternative name " + printable(name.text(), 120), reason);
}

bool has_control_characters(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return (c >= 0 && c < 0x20) || c == 0x7f; });
}

bool contains(std::string_view text, char c) { return text.find(c) != std::string_view::npos; }

bool consists_of(std::string_view text, std::string_view first, std::string_view second, std::string_view third) {
  return std::ranges::all_of(text,
                             [&](char c) { return contains(first, c) || contains(second, c) || contains(third, c); });
}

/// Characters, not bytes; the encoder finds invalid UTF-8.
std::size_t characters(std::string_view utf8_text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(utf8_text, [](char c) { return (static_cast<unsigned char>(c) & 0xc0U) != 0x80; }));
}

/// Numbers with dots between them; OpenSSL would let a dot at the end pass.
bool is_dotted(std::string_view type) {
  return type.size() <= longest_oid && contains(type, '.') && consists_of(type, digits, ".", "") &&
         !type.starts_with('.') && !type.ends_with('.') && type.find("..") == std::string_view::npos;
}

/// A known name, or an OID in digits; the OIDs of known names have their bounds too.
Result<Oid> type_of(const NameAttribute& attribute) {
  const auto* const known = std::ranges::find(attributes, attribute.type, [](const auto& each) { return each.first; });
  if (known == attributes.end() && !is_dotted(attribute.type))
    return fail(invalid(attribute, "no attribute has this name; others than the usual ones are written as an OID"));
  Oid object(OBJ_txt2obj(attribute.type.c_str(), 0));
  if (!object || OBJ_length(object.get()) == 0) {
    ERR_clear_error();
    return fail(invalid(attribute, "it is no OID"));
  }
  const int nid = OBJ_obj2nid(object.get());
  const std::string_view name = nid == NID_undef ? "" : OBJ_nid2sn(nid);
  const auto* const bound = std::ranges::find(attributes, name, [](const auto& each) { return each.first; });
  if (bound != attributes.end() && characters(attribute.value) > bound->second)
    return fail(invalid(attribute, "it is longer than " + std::to_string(bound->second) + " characters"));
  return object;
}

Result<> add(X509_NAME& name, const NameAttribute& attribute) {
  if (attribute.value.empty()) return fail(invalid(attribute, "it is empty"));
  if (attribute.value.size() > longest_value) return fail(invalid(attribute, "it is too long"));
  if (has_control_characters(attribute.value)) return fail(invalid(attribute, "it has control characters"));
  auto type = type_of(attribute);
  if (!type) return fail(std::move(type.error()));
  const BytesView value = as_bytes(attribute.value);
  if (X509_NAME_add_entry_by_OBJ(&name, type->get(), MBSTRING_UTF8, as_uchar(value), static_cast<int>(value.size()), -1,
                                 0) != 1)
    return fail(invalid(attribute, openssl_reason()));
  return {};
}

bool is_label(std::string_view label) {
  return !label.empty() && label.size() <= longest_label && consists_of(label, letters, digits, "-_") &&
         !label.starts_with('-') && !label.ends_with('-');
}

bool is_host(std::string_view host) {
  if (host.size() > longest_host) return false;
  if (host.starts_with("*.")) host.remove_prefix(2);
  for (;;) {
    const auto dot = host.find('.');
    if (!is_label(host.substr(0, dot))) return false;
    if (dot == std::string_view::npos) return true;
    host.remove_prefix(dot + 1);
  }
}

/// Absolute (RFC 5280 4.2.1.6), in the characters of RFC 3986.
bool is_uri(std::string_view uri) {
  const auto colon = uri.find(':');
  if (colon == std::string_view::npos || colon == 0 || colon + 1 == uri.size() || uri.size() > longest_value)
    return false;
  return contains(letters, uri.front()) && consists_of(uri.substr(0, colon), letters, digits, "+-.") &&
         consists_of(uri, letters, digits, "-._~:/?#[]@!$&'()*+,;=%");
}

bool is_mail_address(std::string_view address) {
  const auto at = address.find('@');
  if (at == std::string_view::npos || at == 0 || address.size() > longest_host) return false;
  return consists_of(address.substr(0, at), letters, digits, "!#$%&'*+-/=?^_`{|}~.") && is_host(address.substr(at + 1));
}

/// 4 or 16 octets in network order; empty if it is no address.
std::vector<unsigned char> octets_of_address(const std::string& text) {
  std::vector<unsigned char> octets(16);
  if (inet_pton(AF_INET6, text.c_str(), octets.data()) == 1) return octets;
  octets.resize(4);
  if (inet_pton(AF_INET, text.c_str(), octets.data()) == 1) return octets;
  return {};
}

/// GEN_DNS and so on with the content, or what is wrong.
Result<std::pair<int, std::string>> content_of(const AlternativeName& name) {
  using Kind = AlternativeName::Kind;
  if (contains(name.value, '\0')) return fail(invalid(name, "it has control characters"));
  switch (name.kind) {
    case Kind::dns:
      if (!is_host(name.value)) return fail(invalid(name, "it is no host name in ASCII"));
      return std::pair(GEN_DNS, name.value);
    case Kind::uri:
      if (!is_uri(name.value)) return fail(invalid(name, "it is no absolute URI in ASCII"));
      return std::pair(GEN_URI, name.value);
    case Kind::email:
      if (!is_mail_address(name.value)) return fail(invalid(name, "it is no mail address in ASCII"));
      return std::pair(GEN_EMAIL, name.value);
    case Kind::ip: break;
  }
  const auto octets = octets_of_address(name.value);
  if (octets.empty()) return fail(invalid(name, "it is no IPv4 or IPv6 address"));
  return std::pair(GEN_IPADD, std::string(octets.begin(), octets.end()));
}

/// The name that it has here, or the OID in digits.
std::string type_text(const ASN1_OBJECT* object) {
  const int nid = OBJ_obj2nid(object);
  const std::string_view name = nid == NID_undef ? "" : OBJ_nid2sn(nid);
  if (std::ranges::find(attributes, name, [](const auto& each) { return each.first; }) != attributes.end())
    return std::string(name);
  return dotted(object).value_or("");
}

std::string text_of(const ASN1_STRING* string) {
  const auto* const data = ASN1_STRING_get0_data(string);
  return std::string(as_text(std::as_bytes(std::span(data, static_cast<std::size_t>(ASN1_STRING_length(string))))));
}

}  // namespace

std::string AlternativeName::text() const {
  switch (kind) {
    case Kind::dns: return "DNS:" + value;
    case Kind::uri: return "URI:" + value;
    case Kind::email: return "email:" + value;
    case Kind::ip: break;
  }
  const auto octets = octets_of_address(value);
  if (octets.empty()) return "IP:" + value;
  const Owned<ASN1_OCTET_STRING, ASN1_OCTET_STRING_free> string(ASN1_OCTET_STRING_new());
  ASN1_OCTET_STRING_set(string.get(), octets.data(), static_cast<int>(octets.size()));
  return "IP:" + address_text(string.get());
}

Result<EncodedName> encode_subject(const std::vector<NameAttribute>& subject) {
  EncodedName name(X509_NAME_new());
  if (!name) return fail(openssl_error(Errc::internal, Retry::later, "cannot make a subject"));
  ERR_clear_error();
  for (const NameAttribute& attribute : subject)
    if (auto added = add(*name, attribute); !added) return fail(std::move(added.error()));
  return name;
}

Result<GeneralNames> encode_alternatives(const std::vector<AlternativeName>& alternatives) {
  GeneralNames names(GENERAL_NAMES_new());
  for (const AlternativeName& alternative : alternatives) {
    auto content = content_of(alternative);
    if (!content) return fail(std::move(content.error()));
    Owned<GENERAL_NAME, GENERAL_NAME_free> name(GENERAL_NAME_new());
    // dNSName, URI and mail address are IA5String, an address is an OCTET STRING: the same structure in OpenSSL.
    ASN1_STRING* const string =
        ASN1_STRING_type_new(content->first == GEN_IPADD ? V_ASN1_OCTET_STRING : V_ASN1_IA5STRING);
    ASN1_STRING_set(string, content->second.data(), static_cast<int>(content->second.size()));
    GENERAL_NAME_set0_value(name.get(), content->first, string);
    sk_GENERAL_NAME_push(names.get(), name.get());
    std::ignore = name.release();
  }
  return names;
}

std::optional<AlternativeName> alternative_of(const GENERAL_NAME& name) {
  using Kind = AlternativeName::Kind;
  switch (name.type) {
    case GEN_DNS: return AlternativeName{.kind = Kind::dns, .value = text_of(name.d.dNSName)};
    case GEN_URI: return AlternativeName{.kind = Kind::uri, .value = text_of(name.d.uniformResourceIdentifier)};
    case GEN_EMAIL: return AlternativeName{.kind = Kind::email, .value = text_of(name.d.rfc822Name)};
    case GEN_IPADD: return AlternativeName{.kind = Kind::ip, .value = address_text(name.d.iPAddress)};
    default: return std::nullopt;
  }
}

Result<> check(const Names& names) {
  if (names.subject.empty() && names.alternatives.empty())
    return fail(invalid("no name at all", "a subject or an alternative name is needed"));
  if (auto subject = encode_subject(names.subject); !subject) return fail(std::move(subject.error()));
  if (auto alternatives = encode_alternatives(names.alternatives); !alternatives)
    return fail(std::move(alternatives.error()));
  return {};
}

std::optional<std::vector<NameAttribute>> subject_of(const Certificate& certificate) {
  const X509_NAME* const name = X509_get_subject_name(certificate.get());
  std::vector<NameAttribute> subject;
  for (int i = 0; i < X509_NAME_entry_count(name); ++i) {
    const X509_NAME_ENTRY* const entry = X509_NAME_get_entry(name, i);
    auto value = utf8(X509_NAME_ENTRY_get_data(entry));
    if (!value || (i > 0 && X509_NAME_ENTRY_set(entry) == X509_NAME_ENTRY_set(X509_NAME_get_entry(name, i - 1))))
      return std::nullopt;
    subject.push_back({.type = type_text(X509_NAME_ENTRY_get_object(entry)), .value = std::move(*value)});
  }
  return encode_subject(subject) ? std::optional(std::move(subject)) : std::nullopt;
}

std::optional<std::vector<AlternativeName>> alternatives_of(const Certificate& certificate) {
  int found = 0;
  const GeneralNames names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate.get(), NID_subject_alt_name, &found, nullptr)));
  ERR_clear_error();
  std::vector<AlternativeName> alternatives;
  if (!names) return found == -1 ? std::optional(alternatives) : std::nullopt;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    auto alternative = alternative_of(*sk_GENERAL_NAME_value(names.get(), i));
    if (!alternative) return std::nullopt;
    alternatives.push_back(std::move(*alternative));
  }
  return encode_alternatives(alternatives) ? std::optional(std::move(alternatives)) : std::nullopt;
}

}  // namespace devid::pki
