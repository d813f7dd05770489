#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

#include "agent/pki/certificate.h"
#include "agent/pki/oid.h"

namespace devid::pki {
namespace {

constexpr std::array usages = std::to_array<std::pair<std::uint32_t, std::string_view>>({
    {KU_DIGITAL_SIGNATURE, "digitalSignature"},
    {KU_NON_REPUDIATION, "nonRepudiation"},
    {KU_KEY_ENCIPHERMENT, "keyEncipherment"},
    {KU_DATA_ENCIPHERMENT, "dataEncipherment"},
    {KU_KEY_AGREEMENT, "keyAgreement"},
    {KU_KEY_CERT_SIGN, "keyCertSign"},
    {KU_CRL_SIGN, "cRLSign"},
    {KU_ENCIPHER_ONLY, "encipherOnly"},
    {KU_DECIPHER_ONLY, "decipherOnly"},
});

void append(std::string& list, std::string_view item) {
  if (!list.empty()) list += ", ";
  list += item;
}

std::string line(std::string_view label, std::string_view value) {
  return value.empty() ? std::string{} : fmt::format("{:<16}{}\n", fmt::format("{}:", label), value);
}

std::string moment(Time time) {
  const std::string text = utc_text(time);
  return text == "9999-12-31 23:59:59 UTC" ? text + " (does not expire)" : text;
}

std::string key_text(X509* x509) {
  const EVP_PKEY* const key = X509_get0_pubkey(x509);
  ERR_clear_error();
  if (key == nullptr) return "of an unknown kind";
  const char* const kind = EVP_PKEY_get0_type_name(key);
  std::array<char, 80> group{};
  if (EVP_PKEY_get_group_name(key, group.data(), group.size(), nullptr) != 1) {
    ERR_clear_error();
    return fmt::format("{} {} bits", kind == nullptr ? "unknown" : kind, EVP_PKEY_get_bits(key));
  }
  const char* const nist = EC_curve_nid2nist(OBJ_sn2nid(group.data()));
  return fmt::format("{} {}", kind == nullptr ? "unknown" : kind, nist == nullptr ? group.data() : nist);
}

std::string usage_text(X509* x509) {
  if ((X509_get_extension_flags(x509) & EXFLAG_KUSAGE) == 0) return {};
  std::string list;
  for (const auto& [bit, name] : usages)
    if ((X509_get_key_usage(x509) & bit) != 0) append(list, name);
  return list.empty() ? "none" : list;
}

std::string extended_usage_text(const X509* x509) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the NID stands for
  const Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free> list(
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(x509, NID_ext_key_usage, nullptr, nullptr)));
  ERR_clear_error();
  std::string text;
  for (int i = 0; i < sk_ASN1_OBJECT_num(list.get()); ++i) append(text, oid_name(sk_ASN1_OBJECT_value(list.get(), i)));
  return text;
}

std::string unknown_critical_text(const X509* x509) {
  std::string text;
  for (int i = 0; i < X509_get_ext_count(x509); ++i) {
    X509_EXTENSION* const extension = X509_get_ext(x509, i);
    if (X509_EXTENSION_get_critical(extension) != 0 && X509_supported_extension(extension) == 0)
      append(text, oid_name(X509_EXTENSION_get_object(extension)));
  }
  return text;
}

}  // namespace

std::string Certificate::describe() const {
  std::string names;
  for (const std::string& name : alternative_names()) append(names, name);
  const bool is_ca = X509_check_ca(get()) != 0;
  const bool damaged = (X509_get_extension_flags(get()) & EXFLAG_INVALID) != 0;
  ERR_clear_error();
  return line("Subject", subject().empty() ? "(empty)" : subject()) + line("Names", names) +
         line("Issuer", is_self_issued() ? issuer() + " (self-issued)" : issuer()) + line("Serial", serial_number()) +
         line("Valid from", moment(not_before())) + line("Valid until", moment(not_after())) +
         line("Key", key_text(get())) + line("Key usage", usage_text(get())) +
         line("Extended use", extended_usage_text(get())) + line("CA", is_ca ? "yes" : "no") +
         line("Not understood", unknown_critical_text(get())) +
         line("Damaged", damaged ? "yes, OpenSSL will not accept it" : "") + line("SHA-256", fingerprint());
}

}  // namespace devid::pki
