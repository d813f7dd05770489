#include "agent/pki/certificate.h"

#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/pki/asn1_time.h"
#include "agent/pki/general_name.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using Number = Owned<BIGNUM, BN_free>;

/// The most bytes of a name that are shown. RFC 5280 allows far less for every attribute.
constexpr std::size_t name_limit = 2000;

/// RFC 4514, with UTF-8 left as it is.
constexpr unsigned long name_flags = XN_FLAG_RFC2253 & ~static_cast<unsigned long>(ASN1_STRFLGS_ESC_MSB);

Error malformed(std::string_view reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read a certificate",
          .reason = std::string(reason)};
}

Bytes encode(const X509* x509) {
  unsigned char* data = nullptr;
  const int size = i2d_X509(x509, &data);
  if (size <= 0) return {};
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

std::string to_hex(BytesView bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : bytes) {
    text += digits[std::to_integer<unsigned>(byte) >> 4U];
    text += digits[std::to_integer<unsigned>(byte) & 0xfU];
  }
  return text;
}

std::string name_text(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  if (X509_NAME_print_ex(bio.get(), name, 0, name_flags) < 0) {
    ERR_clear_error();
    return "unreadable";
  }
  return printable(as_text(bio_bytes(bio.get())), name_limit);
}

/// Of a library context of its own, and fetched once: fingerprints are made on every thread, while another one may turn
/// OpenSSL's default properties to FIPS (est::FipsMode), from which an EVP_sha256() is fetched at each use. Never
/// freed.
const EVP_MD* sha256_for_display() {
  static const EVP_MD* const digest = EVP_MD_fetch(OSSL_LIB_CTX_new(), "SHA256", nullptr);
  return digest;
}

}  // namespace

Result<Certificate> Certificate::from_der(BytesView der) {
  ERR_clear_error();
  const unsigned char* position = as_uchar(der);
  const unsigned char* const end = position + der.size();
  X509Cert x509(d2i_X509(nullptr, &position, static_cast<long>(der.size())));
  if (!x509) return fail(openssl_error(Errc::answer_malformed, Retry::later, "cannot read a certificate"));
  if (position != end) return fail(malformed(std::to_string(end - position) + " bytes follow the certificate"));
  if (!std::ranges::equal(encode(x509.get()), der)) return fail(malformed("it is not in the distinguished encoding"));
  if (!to_time(X509_get0_notBefore(x509.get())) || !to_time(X509_get0_notAfter(x509.get()))) {
    ERR_clear_error();
    return fail(malformed("its validity is no date"));
  }
  return Certificate(std::move(x509));
}

Certificate Certificate::from_x509(X509* borrowed) {
  X509_up_ref(borrowed);
  return Certificate(X509Cert(borrowed));
}

Certificate::Certificate(const Certificate& other) : x509_(other.get()) { X509_up_ref(x509_.get()); }

Certificate& Certificate::operator=(const Certificate& other) {
  if (this != &other) *this = Certificate(other);
  return *this;
}

Bytes Certificate::der() const { return encode(get()); }

std::string Certificate::pem() const {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), get());
  return std::string(as_text(bio_bytes(bio.get())));
}

std::string Certificate::subject() const { return name_text(X509_get_subject_name(get())); }

std::string Certificate::issuer() const { return name_text(X509_get_issuer_name(get())); }

std::string Certificate::serial_number() const {
  const Number number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(get()), nullptr));
  const Owned<char, [](char* text) { OPENSSL_free(text); }> digits(number ? BN_bn2hex(number.get()) : nullptr);
  return digits ? printable(digits.get()) : "unreadable";
}

std::string Certificate::fingerprint() const {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  if (X509_digest(get(), sha256_for_display(), digest.data(), &size) != 1) return {};
  return to_hex(to_bytes(digest.data(), size));
}

Time Certificate::not_before() const { return to_time(X509_get0_notBefore(get())).value_or(Time::max()); }

Time Certificate::not_after() const { return to_time(X509_get0_notAfter(get())).value_or(Time::min()); }

Result<PublicKey> Certificate::public_key() const {
  EVP_PKEY* const key = X509_get0_pubkey(get());
  if (key == nullptr) {
    return fail(openssl_error(Errc::token_unsupported, Retry::never, "cannot read the public key of a certificate"));
  }
  return public_key_of(key);
}

std::optional<std::string> Certificate::subject_attribute(int nid) const {
  const X509_NAME* const name = X509_get_subject_name(get());
  const int index = X509_NAME_get_index_by_NID(name, nid, -1);
  if (index < 0) return std::nullopt;
  return utf8(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, index)));
}

std::vector<std::string> Certificate::alternative_names() const {
  int critical = 0;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the NID stands for
  const GeneralNames names(
      static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(get(), NID_subject_alt_name, &critical, nullptr)));
  ERR_clear_error();
  if (!names) return critical == -1 ? std::vector<std::string>{} : std::vector<std::string>{"unreadable"};
  std::vector<std::string> texts;
  texts.reserve(static_cast<std::size_t>(sk_GENERAL_NAME_num(names.get())));
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i)
    texts.push_back(general_name_text(*sk_GENERAL_NAME_value(names.get(), i)));
  return texts;
}

bool Certificate::is_self_issued() const {
  return X509_NAME_cmp(X509_get_subject_name(get()), X509_get_issuer_name(get())) == 0;
}

bool Certificate::operator==(const Certificate& other) const { return get() == other.get() || der() == other.der(); }

namespace {

Result<std::vector<Certificate>> read_pem(std::string_view text, std::size_t limit) {
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
  std::vector<Certificate> certificates;
  for (;;) {
    char* name = nullptr;
    char* header = nullptr;
    unsigned char* data = nullptr;
    long size = 0;
    if (PEM_read_bio(bio.get(), &name, &header, &data, &size) != 1) break;
    const bool is_certificate = std::string_view(name) == "CERTIFICATE" && std::string_view(header).empty();
    auto certificate = is_certificate ? Certificate::from_der(to_bytes(data, static_cast<std::size_t>(size)))
                                      : fail(malformed("there is something else in it: " + printable(name, 60)));
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_clear_free(data, static_cast<std::size_t>(size));
    if (!certificate) return fail(std::move(certificate.error()));
    if (certificates.size() == limit) return fail(malformed("more than " + std::to_string(limit) + " certificates"));
    certificates.push_back(std::move(*certificate));
  }
  if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
    return fail(openssl_error(Errc::answer_malformed, Retry::later, "cannot read a certificate"));
  ERR_clear_error();
  return certificates;
}

std::size_t count(std::string_view text, std::string_view word) {
  std::size_t found = 0;
  for (auto at = text.find(word); at != std::string_view::npos; at = text.find(word, at + word.size())) ++found;
  return found;
}

}  // namespace

Result<std::vector<Certificate>> read_certificates(BytesView pem_or_der, std::size_t limit) {
  constexpr std::string_view begin = "-----BEGIN";
  const std::string_view text = as_text(pem_or_der);
  const std::size_t announced = count(text, begin);
  if (announced == 0) {
    if (pem_or_der.empty()) return fail(malformed("there is none"));
    auto single = Certificate::from_der(pem_or_der);
    if (!single) return fail(std::move(single.error()));
    return std::vector<Certificate>{std::move(*single)};
  }
  ERR_clear_error();
  auto certificates = read_pem(text, limit);
  // OpenSSL passes over a BEGIN line that was cut or damaged as if it were a comment.
  if (certificates && certificates->size() != announced) return fail(malformed("a PEM header is damaged"));
  return certificates;
}

std::string to_pem(const std::vector<Certificate>& certificates) {
  std::string text;
  for (const Certificate& certificate : certificates) text += certificate.pem();
  return text;
}

}  // namespace devid::pki
