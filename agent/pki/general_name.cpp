#include "agent/pki/general_name.h"

#include <arpa/inet.h>
#include <openssl/err.h>

#include <array>

#include "agent/pki/oid.h"
#include "base/openssl.h"

namespace devid::pki {
namespace {

constexpr std::size_t name_limit = 2000;  ///< bytes shown; longer ones are never asked for (name.cpp)

std::string_view octets_of(const ASN1_STRING* string) {
  const int size = ASN1_STRING_length(string);
  return as_text(std::as_bytes(std::span(ASN1_STRING_get0_data(string), static_cast<std::size_t>(size))));
}

std::string directory_name_text(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253) < 0) return "unreadable";
  return printable(as_text(bio_bytes(bio.get())));
}

}  // namespace

std::optional<std::string> utf8(const ASN1_STRING* string) {
  unsigned char* data = nullptr;
  const int size = ASN1_STRING_to_UTF8(&data, string);
  if (size < 0) {
    ERR_clear_error();
    return std::nullopt;
  }
  std::string text(as_text(std::as_bytes(std::span(data, static_cast<std::size_t>(size)))));
  OPENSSL_free(data);
  return text;
}

std::string address_text(const ASN1_OCTET_STRING* octets) {
  const int size = ASN1_STRING_length(octets);
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (size != 4 && size != 16) return "unreadable";
  inet_ntop(size == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(octets), text.data(), text.size());
  return text.data();
}

std::string general_name_text(const GENERAL_NAME& name) {
  switch (name.type) {
    case GEN_DNS: return "DNS:" + printable(octets_of(name.d.dNSName), name_limit);
    case GEN_IPADD: return "IP:" + address_text(name.d.iPAddress);
    case GEN_URI: return "URI:" + printable(octets_of(name.d.uniformResourceIdentifier), name_limit);
    case GEN_EMAIL: return "email:" + printable(octets_of(name.d.rfc822Name), name_limit);
    case GEN_DIRNAME: return "dirName:" + directory_name_text(name.d.directoryName);
    case GEN_RID: return "RID:" + dotted(name.d.registeredID).value_or("unreadable");
    case GEN_OTHERNAME: return "otherName:" + dotted(name.d.otherName->type_id).value_or("unreadable");
    default: return "unknown";
  }
}

}  // namespace devid::pki
