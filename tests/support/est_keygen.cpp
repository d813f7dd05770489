#include "tests/support/est_keygen.h"

#include <openssl/cms.h>
#include <openssl/ec.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <array>
#include <stdexcept>

#include "tests/support/asn1_values.h"
#include "tests/support/est_answer.h"

namespace devid::test {
namespace {

using Message = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;

constexpr const char* decrypt_key_identifier = "1.2.840.113549.1.9.16.2.37";
constexpr const char* asymmetric_decrypt_key_identifier = "1.2.840.113549.1.9.16.2.54";
constexpr const char* key_package = "2.16.840.1.101.2.1.2.78.5";

void check(bool ok, std::string_view doing) {
  if (!ok) throw std::runtime_error("the test server cannot " + std::string(doing) + ": " + openssl_reason());
}

/// The value of an attribute that is one OCTET STRING.
std::optional<Bytes> identifier_in(X509_REQ* request, const char* oid) {
  const Owned<ASN1_OBJECT, ASN1_OBJECT_free> object(OBJ_txt2obj(oid, 1));
  const int at = X509_REQ_get_attr_by_OBJ(request, object.get(), -1);
  if (at < 0) return std::nullopt;
  const auto* value = static_cast<ASN1_STRING*>(
      X509_ATTRIBUTE_get0_data(X509_REQ_get_attr(request, at), 0, V_ASN1_OCTET_STRING, nullptr));
  check(value != nullptr, "read a key identifier");
  return to_bytes(ASN1_STRING_get0_data(value), static_cast<std::size_t>(ASN1_STRING_length(value)));
}

unsigned char* openssl_copy(BytesView bytes) {
  return static_cast<unsigned char*>(OPENSSL_memdup(bytes.data(), bytes.size()));
}

Bytes encrypt(BytesView content, const KeygenRecipient& recipient) {
  constexpr unsigned flags = CMS_BINARY | CMS_PARTIAL;
  const Bio in(BIO_new_mem_buf(content.data(), static_cast<int>(content.size())));
  const Message message(CMS_encrypt(nullptr, in.get(), EVP_aes_256_cbc(), flags));
  check(message != nullptr, "make an envelope");
  const CMS_RecipientInfo* added =
      recipient.secret.empty()
          ? CMS_add1_recipient_cert(message.get(), load_certificates(recipient.certificate).front().get(), 0)
          : CMS_add0_recipient_key(message.get(), NID_undef, openssl_copy(recipient.secret), recipient.secret.size(),
                                   openssl_copy(recipient.identifier), recipient.identifier.size(), nullptr, nullptr,
                                   nullptr);
  check(added != nullptr && CMS_final(message.get(), in.get(), nullptr, flags) == 1, "fill an envelope");
  unsigned char* data = nullptr;
  const int size = i2d_CMS_ContentInfo(message.get(), &data);
  check(size > 0, "encode an envelope");
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

Bytes pkcs8_of(EVP_PKEY* key) {
  const Owned<PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free> info(EVP_PKEY2PKCS8(key));
  unsigned char* data = nullptr;
  const int size = info ? i2d_PKCS8_PRIV_KEY_INFO(info.get(), &data) : 0;
  check(size > 0, "encode a key");
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

std::string part(std::string_view type, BytesView content) {
  return "--devid-test-boundary\r\nContent-Type: " + std::string(type) +
         "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + to_base64(content) + "\r\n";
}

}  // namespace

Pkey any_rsa_key() {
  constexpr unsigned bits = 2048;
  Pkey key(EVP_RSA_gen(bits));
  check(key != nullptr, "make a key");
  return key;
}

Request without_attributes(X509_REQ* request) {
  Request other(X509_REQ_dup(request));
  check(other != nullptr, "copy a request");
  while (X509_REQ_get_attr_count(other.get()) > 0) X509_ATTRIBUTE_free(X509_REQ_delete_attr(other.get(), 0));
  return other;
}

Pkey key_like(X509_REQ* request) {
  EVP_PKEY* known = X509_REQ_get0_pubkey(request);
  std::array<char, 64> group{};
  Pkey key(EVP_PKEY_is_a(known, "RSA") == 1
               ? EVP_RSA_gen(static_cast<unsigned>(EVP_PKEY_get_bits(known)))
               : (EVP_PKEY_get_group_name(known, group.data(), group.size(), nullptr) == 1 ? EVP_EC_gen(group.data())
                                                                                           : nullptr));
  check(key != nullptr, "make a key");
  return key;
}

Request with_key(X509_REQ* request, EVP_PKEY* key) {
  Request other(X509_REQ_dup(request));
  check(other && X509_REQ_set_pubkey(other.get(), key) == 1, "change the key of a request");
  return other;
}

std::optional<std::string> keygen_body(X509_REQ* request, EVP_PKEY* key, X509* certificate, const EstIssuer& issuer,
                                       const std::vector<KeygenRecipient>& recipients) {
  auto identifier = identifier_in(request, decrypt_key_identifier);
  if (!identifier) identifier = identifier_in(request, asymmetric_decrypt_key_identifier);
  const Bytes pkcs8 = pkcs8_of(key);
  std::string body = "what is before the first boundary is for nobody\r\n";
  if (identifier) {
    const auto recipient = std::ranges::find(recipients, *identifier, &KeygenRecipient::identifier);
    if (recipient == recipients.end()) return std::nullopt;
    const Bytes message = issuer.sign_message(asn1::sequence({pkcs8}), key_package, {});
    body += part("application/pkcs7-mime; smime-type=server-generated-key", encrypt(message, *recipient));
  } else {
    body += part("application/pkcs8", pkcs8);
  }
  body += part("application/pkcs7-mime; smime-type=certs-only", certs_only({certificate}));
  return body + "--devid-test-boundary--\r\n";
}

std::string libest_keygen_body(EVP_PKEY* key, X509* certificate) {
  unsigned char* data = nullptr;
  const int size = i2d_PrivateKey(key, &data);
  check(size > 0, "encode a key");
  const Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  const auto part = [](std::string_view type, BytesView content) {
    return "--est-server-boundary\r\nContent-Type: " + std::string(type) +
           "\r\nContent-Transfer-Encoding: base64\r\n\r\n" + to_base64(content) + "\r\n";
  };
  return "\n" + part("application/pkcs8", der) +
         part("application/pkcs7-mime; smime-type=certs-only", certs_only({certificate})) + "--est-server-boundary--";
}

}  // namespace devid::test
