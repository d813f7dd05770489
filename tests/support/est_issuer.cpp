#include "tests/support/est_issuer.h"

#include <openssl/asn1.h>
#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/pkcs7.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <array>
#include <ctime>
#include <stdexcept>

namespace devid::test {
namespace {

using Extension = Owned<X509_EXTENSION, X509_EXTENSION_free>;
using Name = Owned<X509_NAME, X509_NAME_free>;

constexpr Seconds day{86400};

void free_extensions(STACK_OF(X509_EXTENSION) * list) { sk_X509_EXTENSION_pop_free(list, X509_EXTENSION_free); }
using Extensions = Owned<STACK_OF(X509_EXTENSION), free_extensions>;

void check(bool ok, std::string_view doing) {
  if (!ok) throw std::runtime_error("the test CA cannot " + std::string(doing) + ": " + openssl_reason());
}

Bio open(const std::filesystem::path& file) {
  Bio bio(BIO_new_file(file.c_str(), "r"));
  check(bio != nullptr, "open " + file.string());
  return bio;
}

X509_EXTENSION* find(STACK_OF(X509_EXTENSION) * list, int nid) {
  const int at = list == nullptr ? -1 : X509v3_get_ext_by_NID(list, nid, -1);
  return at < 0 ? nullptr : X509v3_get_ext(list, at);
}

void add(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value));
  check(extension && X509_add_ext(certificate, extension.get(), -1) == 1, std::string("add ") + value);
}

/// The request's own extension, unless the flaw is another value.
void copy_or_add(X509* certificate, X509_EXTENSION* requested, X509* issuer, int nid, const char* flaw) {
  if (flaw != nullptr) {
    add(certificate, issuer, nid, flaw);
  } else if (requested != nullptr) {
    check(X509_add_ext(certificate, requested, -1) == 1, "copy an extension");
  }
}

void set_subject(X509* certificate, X509_REQ* request, CertificateFlaw flaw) {
  if (flaw != CertificateFlaw::other_names) {
    check(X509_set_subject_name(certificate, X509_REQ_get_subject_name(request)) == 1, "set the subject");
    return;
  }
  const Name name(X509_NAME_new());
  constexpr std::string_view somebody = "somebody-else";
  check(X509_NAME_add_entry_by_NID(name.get(), NID_commonName, MBSTRING_UTF8, as_uchar(as_bytes(somebody)),
                                   static_cast<int>(somebody.size()), -1, 0) == 1 &&
            X509_set_subject_name(certificate, name.get()) == 1,
        "set another subject");
}

void set_dates(X509* certificate, const EstIssuer::Spec& spec, CertificateFlaw flaw) {
  Seconds from = spec.not_before;
  Seconds until = spec.not_after;
  if (flaw == CertificateFlaw::expired) {
    from = -2 * day;
    until = -day;
  } else if (flaw == CertificateFlaw::not_yet_valid) {
    from = day;
    until = 2 * day;
  } else if (flaw == CertificateFlaw::from_next_year) {
    from = 366 * day;
    until = 800 * day;
  } else if (flaw == CertificateFlaw::for_fifty_years) {
    until = 18262 * day;
  } else if (flaw == CertificateFlaw::for_a_minute) {
    until = Seconds(60);
  }
  check(X509_gmtime_adj(X509_getm_notBefore(certificate), from.count()) != nullptr &&
            X509_gmtime_adj(X509_getm_notAfter(certificate), until.count()) != nullptr,
        "set the dates");
}

void set_serial(X509* certificate) {
  std::array<unsigned char, 16> random{};
  check(RAND_bytes(random.data(), random.size()) == 1, "make a serial number");
  random[0] = (random[0] & 0x7fU) | 0x40U;  // positive, and always as long
  const Owned<BIGNUM, BN_free> number(BN_bin2bn(random.data(), random.size(), nullptr));
  check(BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate)) != nullptr, "set the serial number");
}

void set_alternative_names(X509* certificate, X509_EXTENSION* requested, X509* issuer, CertificateFlaw flaw) {
  if (flaw == CertificateFlaw::other_names) return;
  if (flaw != CertificateFlaw::more_names) {
    copy_or_add(certificate, requested, issuer, NID_subject_alt_name, nullptr);
    return;
  }
  const Owned<GENERAL_NAMES, GENERAL_NAMES_free> names(
      requested == nullptr ? GENERAL_NAMES_new() : static_cast<GENERAL_NAMES*>(X509V3_EXT_d2i(requested)));
  GENERAL_NAME* more = a2i_GENERAL_NAME(nullptr, nullptr, nullptr, GEN_DNS, "more.example", 0);
  check(names && more != nullptr && sk_GENERAL_NAME_push(names.get(), more) > 0, "make another name");
  check(X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, 0) == 1, "add another name");
}

}  // namespace

std::vector<X509Cert> load_certificates(const std::filesystem::path& file) {
  const Bio bio = open(file);
  std::vector<X509Cert> certificates;
  while (X509* certificate = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr))
    certificates.emplace_back(certificate);
  check(!certificates.empty(), "find a certificate in " + file.string());
  static_cast<void>(openssl_reason());  // the end of the file
  return certificates;
}

Pkey load_key(const std::filesystem::path& file) {
  const Bio bio = open(file);
  Pkey key(PEM_read_bio_PrivateKey(bio.get(), nullptr, nullptr, nullptr));
  check(key != nullptr, "read the key " + file.string());
  return key;
}

EstIssuer::EstIssuer(const Spec& spec)
    : spec_(spec),
      certificate_(std::move(load_certificates(spec.certificate).front())),
      key_(load_key(spec.key)),
      other_key_(EVP_EC_gen("P-256")) {
  check(other_key_ != nullptr, "make another key");
}

X509Cert EstIssuer::issue(X509_REQ* request, CertificateFlaw flaw) const {
  X509Cert made(X509_new());
  X509* certificate = made.get();
  X509* issuer = certificate_.get();
  const Extensions requested(X509_REQ_get_extensions(request));
  EVP_PKEY* key = flaw == CertificateFlaw::wrong_key ? other_key_.get() : X509_REQ_get0_pubkey(request);
  check(X509_set_version(certificate, X509_VERSION_3) == 1 && X509_set_pubkey(certificate, key) == 1 &&
            X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1,
        "fill a certificate");
  set_serial(certificate);
  set_subject(certificate, request, flaw);
  set_dates(certificate, spec_, flaw);
  const bool is_ca = flaw == CertificateFlaw::is_ca;
  const bool no_signing = flaw == CertificateFlaw::no_digital_signature;
  const bool server_only = flaw == CertificateFlaw::server_only;
  add(certificate, issuer, NID_basic_constraints, is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
  copy_or_add(certificate, find(requested.get(), NID_key_usage), issuer, NID_key_usage,
              no_signing ? "critical,keyAgreement" : nullptr);
  copy_or_add(certificate, find(requested.get(), NID_ext_key_usage), issuer, NID_ext_key_usage,
              server_only ? "serverAuth" : nullptr);
  set_alternative_names(certificate, find(requested.get(), NID_subject_alt_name), issuer, flaw);
  add(certificate, issuer, NID_subject_key_identifier, "hash");
  add(certificate, issuer, NID_authority_key_identifier, "keyid:always");
  if (!spec_.ocsp.empty()) add(certificate, issuer, NID_info_access, ("OCSP;URI:" + spec_.ocsp).c_str());
  if (!spec_.crl.empty()) add(certificate, issuer, NID_crl_distribution_points, ("URI:" + spec_.crl).c_str());
  EVP_PKEY* signer = flaw == CertificateFlaw::wrong_issuer ? other_key_.get() : key_.get();
  check(X509_sign(certificate, signer, EVP_sha256()) > 0, "sign a certificate");
  return made;
}

Bytes EstIssuer::sign_message(BytesView content, const char* type, const std::vector<X509*>& certificates) const {
  constexpr unsigned flags = CMS_BINARY | CMS_PARTIAL;
  const Bio in(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> content_type(OBJ_txt2obj(type, 1));
  const Owned<CMS_ContentInfo, CMS_ContentInfo_free> message(CMS_sign(nullptr, nullptr, nullptr, in.get(), flags));
  check(message && CMS_set1_eContentType(message.get(), content_type.get()) == 1 &&
            CMS_add1_signer(message.get(), certificate_.get(), key_.get(), nullptr, flags) != nullptr,
        "make a signed message");
  for (X509* certificate : certificates) check(CMS_add1_cert(message.get(), certificate) == 1, "add a certificate");
  check(CMS_final(message.get(), in.get(), nullptr, flags) == 1, "sign a message");
  unsigned char* data = nullptr;
  const int size = i2d_CMS_ContentInfo(message.get(), &data);
  check(size > 0, "encode a signed message");
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

Request read_request(BytesView der) {
  const unsigned char* at = as_uchar(der);
  Request request(d2i_X509_REQ(nullptr, &at, static_cast<long>(der.size())));
  const bool complete = request && at == as_uchar(der) + der.size();
  if (complete && X509_REQ_verify(request.get(), X509_REQ_get0_pubkey(request.get())) == 1) return request;
  static_cast<void>(openssl_reason());
  return nullptr;
}

bool same_names(X509_REQ* request, X509* certificate) {
  if (X509_NAME_cmp(X509_REQ_get_subject_name(request), X509_get_subject_name(certificate)) != 0) return false;
  const Extensions requested(X509_REQ_get_extensions(request));
  X509_EXTENSION* asked = find(requested.get(), NID_subject_alt_name);
  const int at = X509_get_ext_by_NID(certificate, NID_subject_alt_name, -1);
  if (asked == nullptr || at < 0) return asked == nullptr && at < 0;
  X509_EXTENSION* had = X509_get_ext(certificate, at);
  return ASN1_OCTET_STRING_cmp(X509_EXTENSION_get_data(asked), X509_EXTENSION_get_data(had)) == 0;
}

Bytes certs_only(const std::vector<X509*>& certificates) {
  const Owned<PKCS7, PKCS7_free> message(PKCS7_new());
  check(message && PKCS7_set_type(message.get(), NID_pkcs7_signed) == 1, "make a CMS message");
  message->d.sign->contents->type = OBJ_nid2obj(NID_pkcs7_data);
  for (X509* certificate : certificates)
    check(PKCS7_add_certificate(message.get(), certificate) == 1, "fill a CMS message");
  unsigned char* der = nullptr;
  const int size = i2d_PKCS7(message.get(), &der);
  check(size > 0, "encode a CMS message");
  Bytes bytes = to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::string subject_text(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
  return std::string(as_text(bio_bytes(bio.get())));
}

std::string pem_text(X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return std::string(as_text(bio_bytes(bio.get())));
}

}  // namespace devid::test
