#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pkcs7.h>
#include <openssl/rand.h>

#include <array>
#include <tuple>
#include <utility>

#include "agent/pki/cmc.h"
#include "agent/pki/cmc_syntax.h"
#include "tokens/public_key.h"

namespace devid::pki {
namespace {

using Number = Owned<BIGNUM, BN_free>;
using Request = Owned<X509_REQ, X509_REQ_free>;
using Octets = Owned<ASN1_STRING, ASN1_STRING_free>;
using Any = Owned<ASN1_TYPE, ASN1_TYPE_free>;
using Message = Owned<PKCS7, PKCS7_free>;
using SignerInfo = Owned<PKCS7_SIGNER_INFO, PKCS7_SIGNER_INFO_free>;
using DigestContext = Owned<EVP_MD_CTX, EVP_MD_CTX_free>;

constexpr std::string_view doing = "cannot make the Full PKI Request";
constexpr std::size_t nonce_size = 16;
constexpr std::size_t transaction_size = 8;
constexpr long version_3 = 3;  ///< of a SignedData whose content is not id-data (RFC 5652 5.1)

// Body parts are numbered within a message, from 1.
constexpr long transaction_part = 1;
constexpr long nonce_part = 2;
constexpr long request_part = 3;

Error failed() { return openssl_error(Errc::internal, Retry::later, doing); }

Octets octets_of(BytesView bytes) {
  Octets octets(ASN1_OCTET_STRING_new());
  if (!octets || ASN1_STRING_set(octets.get(), bytes.data(), static_cast<int>(bytes.size())) != 1) return nullptr;
  return octets;
}

/// One control with one value, which it takes.
bool add_control(cmc::PkiData& data, long id, int nid, int type, Octets value) {
  auto control = cmc::new_attribute();
  Any any(ASN1_TYPE_new());
  if (!control || !any || !value || ASN1_INTEGER_set(control->id, id) != 1) return false;
  ASN1_TYPE_set(any.get(), type, value.release());
  ASN1_OBJECT_free(control->type);
  control->type = OBJ_nid2obj(nid);
  if (sk_ASN1_TYPE_push(control->values, any.get()) <= 0) return false;
  std::ignore = any.release();
  if (sk_TaggedAttribute_push(data.controls, control.get()) <= 0) return false;
  std::ignore = control.release();
  return true;
}

bool add_request(cmc::PkiData& data, Request csr) {
  auto tagged = cmc::new_request();
  if (!tagged || ASN1_INTEGER_set(tagged->value.pkcs10->id, request_part) != 1) return false;
  X509_REQ_free(std::exchange(tagged->value.pkcs10->request, csr.release()));
  if (sk_TaggedRequest_push(data.requests, tagged.get()) <= 0) return false;
  std::ignore = tagged.release();
  return true;
}

/// PKIData; fills in the nonce and the transaction.
Result<Bytes> make_data(BytesView csr, CmcRequest& into) {
  const unsigned char* position = as_uchar(csr);
  Request request(d2i_X509_REQ(nullptr, &position, static_cast<long>(csr.size())));
  if (!request || position != as_uchar(csr) + csr.size())
    return fail({.code = Errc::usage, .what = std::string(doing) + ": this is no PKCS#10 request"});
  std::array<unsigned char, nonce_size + transaction_size> random{};
  if (RAND_bytes(random.data(), static_cast<int>(random.size())) != 1) return fail(failed());
  into.nonce = to_bytes(random.data(), nonce_size);
  const Number number(BN_bin2bn(random.data() + nonce_size, transaction_size, nullptr));
  char* decimal = number ? BN_bn2dec(number.get()) : nullptr;
  if (decimal == nullptr) return fail(failed());
  into.transaction = decimal;
  OPENSSL_free(decimal);
  auto data = cmc::new_data();
  if (!data ||
      !add_control(*data, transaction_part, NID_id_cmc_transactionId, V_ASN1_INTEGER,
                   Octets(BN_to_ASN1_INTEGER(number.get(), nullptr))) ||
      !add_control(*data, nonce_part, NID_id_cmc_senderNonce, V_ASN1_OCTET_STRING, octets_of(into.nonce)) ||
      !add_request(*data, std::move(request)))
    return fail(failed());
  Bytes der = cmc::encode(*data);
  if (der.empty()) return fail(failed());
  return der;
}

/// The algorithm of a signature as CMS names it: by the key for RSA (RFC 3370 3.2), with the digest for EC (RFC 5754
/// 3.3).
bool set_signature_algorithm(X509_ALGOR* algorithm, KeyAlgorithm key, const EVP_MD* digest) {
  if (is_rsa(key)) return X509_ALGOR_set0(algorithm, OBJ_nid2obj(NID_rsaEncryption), V_ASN1_NULL, nullptr) == 1;
  int nid = NID_undef;
  return OBJ_find_sigid_by_algs(&nid, EVP_MD_get_type(digest), NID_X9_62_id_ecPublicKey) == 1 &&
         X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), V_ASN1_UNDEF, nullptr) == 1;
}

/// A SignerInfo with its signed attributes (RFC 5652 5.3, 11), not yet signed.
SignerInfo describe_signer(const CmcSigner& signer, BytesView data, const EVP_MD* digest) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> hash{};
  unsigned size = 0;
  SignerInfo info(PKCS7_SIGNER_INFO_new());
  X509* const certificate = signer.certificate.get();
  if (!info || ASN1_INTEGER_set(info->version, 1) != 1 ||
      X509_NAME_set(&info->issuer_and_serial->issuer, X509_get_issuer_name(certificate)) != 1 ||
      ASN1_STRING_copy(info->issuer_and_serial->serial, X509_get0_serialNumber(certificate)) != 1 ||
      X509_ALGOR_set0(info->digest_alg, OBJ_nid2obj(EVP_MD_get_type(digest)), V_ASN1_UNDEF, nullptr) != 1 ||
      !set_signature_algorithm(info->digest_enc_alg, signer.key.public_key().algorithm, digest) ||
      EVP_Digest(data.data(), data.size(), hash.data(), &size, digest, nullptr) != 1 ||
      PKCS7_add_attrib_content_type(info.get(), OBJ_nid2obj(NID_id_cct_PKIData)) != 1 ||
      PKCS7_add1_attrib_digest(info.get(), hash.data(), static_cast<int>(size)) != 1)
    return nullptr;
  return info;
}

/// Signs in one go. OpenSSL's own CMS_sign() signs in pieces, which a key of a token does not.
Result<> sign(PKCS7_SIGNER_INFO* info, SigningKey& key, const EVP_MD* digest) {
  unsigned char* attributes = nullptr;
  const int size =
      ASN1_item_i2d(reinterpret_cast<ASN1_VALUE*>(info->auth_attr), &attributes, ASN1_ITEM_rptr(PKCS7_ATTR_SIGN));
  if (size <= 0) return fail(failed());
  const Bytes signed_part = to_bytes(attributes, static_cast<std::size_t>(size));
  OPENSSL_free(attributes);

  std::ignore = key.take_error();
  const DigestContext context(EVP_MD_CTX_new());
  Bytes signature(static_cast<std::size_t>(EVP_PKEY_get_size(key.get())));
  std::size_t length = signature.size();
  if (context && EVP_DigestSignInit(context.get(), nullptr, digest, nullptr, key.get()) == 1 &&
      EVP_DigestSign(context.get(), as_uchar(std::span(signature)), &length, as_uchar(BytesView(signed_part)),
                     signed_part.size()) == 1) {
    if (ASN1_STRING_set(info->enc_digest, signature.data(), static_cast<int>(length)) != 1) return fail(failed());
    return {};
  }
  Error error = openssl_error(Errc::token_failed, Retry::later, "cannot sign the Full PKI Request");
  if (auto told = key.take_error()) error = while_doing("sign the Full PKI Request", std::move(*told));
  return fail(std::move(error));
}

/// CMS SignedData around the data. OpenSSL's structures for PKCS#7 encode the same once the version says so, and can be
/// filled by hand.
Message wrap(BytesView data, SignerInfo info, const CmcSigner& signer) {
  Message message(PKCS7_new());
  Message content(PKCS7_new());
  Any any(ASN1_TYPE_new());
  Octets octets = octets_of(data);
  if (!message || !content || !any || !octets || PKCS7_set_type(message.get(), NID_pkcs7_signed) != 1 ||
      ASN1_INTEGER_set(message->d.sign->version, version_3) != 1)
    return nullptr;
  ASN1_TYPE_set(any.get(), V_ASN1_OCTET_STRING, octets.release());
  content->type = OBJ_nid2obj(NID_id_cct_PKIData);
  content->d.other = any.release();
  if (PKCS7_set_content(message.get(), content.get()) != 1) return nullptr;
  std::ignore = content.release();
  if (PKCS7_add_signer(message.get(), info.get()) != 1) return nullptr;
  std::ignore = info.release();
  bool added = PKCS7_add_certificate(message.get(), signer.certificate.get()) == 1;
  for (const auto& issuer : signer.chain) added = added && PKCS7_add_certificate(message.get(), issuer.get()) == 1;
  return added ? std::move(message) : nullptr;
}

/// Verifies what will be sent: the DER, parsed anew, by the certificate in it.
Result<> verify_own_signature(BytesView der) {
  const unsigned char* position = as_uchar(der);
  const Owned<CMS_ContentInfo, CMS_ContentInfo_free> message(
      d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(der.size())));
  if (message &&
      CMS_verify(message.get(), nullptr, nullptr, nullptr, nullptr, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1)
    return {};
  Error error = openssl_error(Errc::token_wrong_key, Retry::after_operator,
                              "the token's signature on the Full PKI Request is not by the key of the certificate");
  error.hint = "find out whether the token was cleared, replaced or provisioned again";
  return fail(std::move(error));
}

}  // namespace

Result<CmcRequest> make_cmc_request(BytesView csr, const CmcSigner& signer) {
  ERR_clear_error();
  CmcRequest request;
  const auto data = make_data(csr, request);
  if (!data) return fail(data.error());
  const EVP_MD* const digest = message_digest(digest_for(signer.key.public_key().algorithm));
  SignerInfo info = describe_signer(signer, *data, digest);
  if (!info) return fail(failed());
  if (auto done = sign(info.get(), signer.key, digest); !done) return fail(std::move(done.error()));
  const Message message = wrap(*data, std::move(info), signer);
  unsigned char* der = nullptr;
  const int size = message ? i2d_PKCS7(message.get(), &der) : 0;
  if (size <= 0) return fail(failed());
  request.der = to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  if (auto verified = verify_own_signature(request.der); !verified) return fail(std::move(verified.error()));
  return request;
}

}  // namespace devid::pki
