#include "agent/pki/envelope.h"

#include <openssl/asn1t.h>
#include <openssl/cms.h>
#include <openssl/err.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "agent/pki/oid.h"
#include "agent/pki/wiped_buffer.h"

namespace devid::pki {
namespace {

constexpr std::size_t largest = 65536;
constexpr int most_recipients = 16;
constexpr int most_signers = 8;
constexpr std::string_view key_package = "2.16.840.1.101.2.1.2.78.5";  // id-ct-KP-aKeyPackage (RFC 5958 3)

/// The content of a message may be a private key.
void free_wiped(CMS_ContentInfo* message) {
  ASN1_OCTET_STRING** const content = CMS_get0_content(message);
  if (content != nullptr && *content != nullptr)
    OPENSSL_cleanse((*content)->data, static_cast<std::size_t>((*content)->length));
  ERR_clear_error();
  CMS_ContentInfo_free(message);
}
using Message = Owned<CMS_ContentInfo, free_wiped>;

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot open the envelope around the private key in the server's answer",
          .reason = std::move(reason),
          .hint =
              "see the EST server's log: it must encrypt for the decryption key that the request names (RFC 7030 "
              "4.4.2)"};
}

/// A message that fills all of `der`, or null.
Message parse(BytesView der) {
  const unsigned char* position = as_uchar(der);
  Message message(d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(der.size())));
  return position == as_uchar(der) + der.size() ? std::move(message) : nullptr;
}

std::string digits_of(const ASN1_OBJECT* type) { return dotted(type).value_or(""); }

/// Reads a chain of filters to its end. OpenSSL's own CMS_decrypt() and CMS_verify() leave what they read on the stack.
/// None if it fails or does not fit.
std::optional<std::size_t> read_all(BIO* chain, std::span<std::byte> memory) {
  std::size_t size = 0;
  for (;;) {
    std::size_t got = 0;
    if (size == memory.size()) {
      std::byte more{};
      return BIO_read_ex(chain, &more, 1, &got) == 1 ? std::nullopt : std::optional(size);
    }
    if (BIO_read_ex(chain, memory.data() + size, memory.size() - size, &got) != 1) return size;
    size += got;
  }
}

bool decrypt_with(CMS_ContentInfo* message, const SymmetricDecryptionKey& decryption) {
  const BytesView key = decryption.key.reveal();
  const BytesView id = decryption.identifier;
  // NOLINTBEGIN(cppcoreguidelines-pro-type-const-cast): OpenSSL reads both, and writes to neither
  return CMS_decrypt_set1_key(message, const_cast<unsigned char*>(as_uchar(key)), key.size(),
                              const_cast<unsigned char*>(as_uchar(id)), id.size()) == 1;
  // NOLINTEND(cppcoreguidelines-pro-type-const-cast)
}

/// By the certificate, if the recipient is named by it; else by trying, as for a recipient that is named by the
/// identifier in the request.
bool decrypt_with(CMS_ContentInfo* message, const AsymmetricDecryptionKey& decryption, EVP_PKEY* key) {
  X509* const certificate = decryption.certificate ? decryption.certificate->get() : nullptr;
  if (certificate != nullptr && CMS_decrypt_set1_pkey(message, key, certificate) == 1) return true;
  ERR_clear_error();
  return CMS_decrypt_set1_pkey(message, key, nullptr) == 1;
}

Result<> unlock(CMS_ContentInfo* message, const DecryptionKey& decryption) {
  if (sk_CMS_RecipientInfo_num(CMS_get0_RecipientInfos(message)) > most_recipients)
    return fail(malformed("it has more than " + std::to_string(most_recipients) + " recipients"));
  bool unlocked = false;
  if (const auto* symmetric = std::get_if<SymmetricDecryptionKey>(&decryption)) {
    unlocked = decrypt_with(message, *symmetric);
  } else if (const auto* asymmetric = std::get_if<AsymmetricDecryptionKey>(&decryption)) {
    const auto key = load(*asymmetric);
    if (!key) return fail(key.error());
    unlocked = decrypt_with(message, *asymmetric, key->get());
  }
  if (!unlocked) return fail(malformed("it is not encrypted for the decryption key: " + openssl_reason()));
  return {};
}

struct Content {
  std::string type;  ///< dotted
  Secret octets;
};

Result<Content> decrypt(CMS_ContentInfo* message, const DecryptionKey& decryption, std::size_t room) {
  const int type = OBJ_obj2nid(CMS_get0_type(message));
  if (type != NID_pkcs7_enveloped && type != NID_id_smime_ct_authEnvelopedData)
    return fail(malformed("it is no CMS EnvelopedData, but " + digits_of(CMS_get0_type(message))));
  if (auto unlocked = unlock(message, decryption); !unlocked) return fail(std::move(unlocked.error()));
  WipedBuffer plain(room);  // never longer than what is encrypted
  const Bio chain(CMS_dataInit(message, nullptr));
  const auto size = chain ? read_all(chain.get(), plain.memory()) : std::nullopt;
  if (!size || BIO_method_type(chain.get()) != BIO_TYPE_CIPHER || BIO_get_cipher_status(chain.get()) <= 0)
    return fail(malformed("it cannot be decrypted: " + openssl_reason()));
  return Content{.type = digits_of(CMS_get0_eContentType(message)), .octets = Secret(plain.memory().first(*size))};
}

/// SignedData as CMS has it where a type is named beside it: without the ContentInfo around it.
struct Outer {
  ASN1_OBJECT* type;
  ASN1_TYPE* content;
};

// NOLINTBEGIN
ASN1_SEQUENCE(Outer) = {ASN1_SIMPLE(Outer, type, ASN1_OBJECT),
                        ASN1_EXP(Outer, content, ASN1_ANY, 0)} static_ASN1_SEQUENCE_END(Outer)
    // NOLINTEND

    using Type = Owned<ASN1_TYPE, [](ASN1_TYPE* any) {
      if (ASN1_TYPE_get(any) == V_ASN1_SEQUENCE)
        OPENSSL_cleanse(any->value.sequence->data, static_cast<std::size_t>(any->value.sequence->length));
      ASN1_TYPE_free(any);
    }>;

Message parse_bare(BytesView der) {
  const unsigned char* position = as_uchar(der);
  const Type any(d2i_ASN1_TYPE(nullptr, &position, static_cast<long>(der.size())));
  if (!any || position != as_uchar(der) + der.size()) return nullptr;
  const Outer outer{.type = OBJ_nid2obj(NID_pkcs7_signed), .content = any.get()};
  unsigned char* data = nullptr;
  const int size = ASN1_item_i2d(reinterpret_cast<const ASN1_VALUE*>(&outer), &data, ASN1_ITEM_rptr(Outer));
  if (size <= 0) return nullptr;
  const auto length = static_cast<std::size_t>(size);
  Message message = parse(std::as_bytes(std::span(data, length)));
  OPENSSL_clear_free(data, length);
  return message;
}

/// What the signers have signed, if all of them have.
Result<Content> verified_content(CMS_ContentInfo* message, std::size_t room) {
  auto* const signers = CMS_get0_SignerInfos(message);
  const int count = sk_CMS_SignerInfo_num(signers);
  if (count < 1 || count > most_signers)
    return fail(malformed("the message in it has " + std::to_string(count) + " signers"));
  if (CMS_set1_signers_certs(message, nullptr, 0) != count)
    return fail(malformed("the message in it lacks the certificate of a signer"));
  WipedBuffer plain(room);
  const Bio chain(CMS_dataInit(message, nullptr));
  const auto size = chain ? read_all(chain.get(), plain.memory()) : std::nullopt;
  bool good = size.has_value();
  for (int i = 0; good && i < count; ++i) {
    CMS_SignerInfo* const signer = sk_CMS_SignerInfo_value(signers, i);
    good = (CMS_signed_get_attr_count(signer) < 1 || CMS_SignerInfo_verify(signer) == 1) &&
           CMS_SignerInfo_verify_content(signer, chain.get()) == 1;
  }
  if (!good) return fail(malformed("the signature of the message in it does not hold: " + openssl_reason()));
  return Content{.type = digits_of(CMS_get0_eContentType(message)), .octets = Secret(plain.memory().first(*size))};
}

/// Takes the SignedData off, if there is one.
Result<Content> unwrap_signed(Content content) {
  const bool announced = content.type == digits_of(OBJ_nid2obj(NID_pkcs7_signed));
  const BytesView octets = content.octets.reveal();
  Message message = parse(octets);
  if (!message && announced) message = parse_bare(octets);
  const bool is_signed = message && OBJ_obj2nid(CMS_get0_type(message.get())) == NID_pkcs7_signed;
  ERR_clear_error();
  if (is_signed) return verified_content(message.get(), octets.size());
  if (announced) return fail(malformed("the message in it is no CMS SignedData"));
  return content;
}

}  // namespace

Result<Secret> open_envelope(BytesView der, const DecryptionKey& decryption) {
  ERR_clear_error();
  if (der.size() > largest) return fail(malformed("it is longer than " + std::to_string(largest) + " bytes"));
  const Message message = parse(der);
  if (!message) return fail(malformed(openssl_reason()));
  auto content = decrypt(message.get(), decryption, der.size());
  if (!content) return fail(std::move(content.error()));
  content = unwrap_signed(std::move(*content));
  if (!content) return fail(std::move(content.error()));
  if (content->type != key_package && content->type != digits_of(OBJ_nid2obj(NID_pkcs7_data)))
    return fail(malformed("its content is of type " + content->type));
  return std::move(content->octets);
}

}  // namespace devid::pki
