#include "agent/pki/decryption.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include <algorithm>
#include <array>
#include <span>
#include <tuple>
#include <utility>

namespace devid::pki {
namespace {

using Algorithms =
    Owned<STACK_OF(X509_ALGOR), [](STACK_OF(X509_ALGOR) * stack) { sk_X509_ALGOR_pop_free(stack, X509_ALGOR_free); }>;
using Algorithm = Owned<X509_ALGOR, X509_ALGOR_free>;
using Text = Owned<ASN1_STRING, ASN1_STRING_free>;

constexpr const char* decrypt_key_identifier = "1.2.840.113549.1.9.16.2.37";
constexpr const char* asymmetric_decrypt_key_identifier = "1.2.840.113549.1.9.16.2.54";
constexpr const char* smime_capabilities = "1.2.840.113549.1.9.15";
constexpr std::size_t longest_identifier = 1024;

/// What the content may be encrypted with, the preferred first.
constexpr std::array content_ciphers = {NID_aes_256_gcm, NID_aes_256_cbc, NID_aes_128_gcm, NID_aes_128_cbc};

Error unusable(std::string reason) {
  return {.code = Errc::config_invalid,
          .retry = Retry::after_operator,
          .what = "the decryption key for keys that the server makes cannot be used",
          .reason = std::move(reason),
          .hint = "see the profile's decryption key"};
}

Error failed() { return openssl_error(Errc::internal, Retry::later, "cannot say how a key is to be encrypted"); }

/// The DER that an i2d function of OpenSSL makes.
template <class Encode>
Result<Bytes> der_of(Encode encode) {
  unsigned char* data = nullptr;
  const int size = encode(&data);
  if (size <= 0) return fail(failed());
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

Result<RequestAttribute> identifier_attribute(const char* oid, BytesView identifier) {
  if (identifier.empty() || identifier.size() > longest_identifier)
    return fail(unusable("its identifier has " + std::to_string(identifier.size()) + " bytes"));
  const Text octets(ASN1_OCTET_STRING_new());
  if (!octets || ASN1_STRING_set(octets.get(), identifier.data(), static_cast<int>(identifier.size())) != 1)
    return fail(failed());
  auto der = der_of([&](unsigned char** out) { return i2d_ASN1_OCTET_STRING(octets.get(), out); });
  if (!der) return fail(std::move(der.error()));
  return RequestAttribute{.oid = oid, .values = {std::move(*der)}};
}

/// Without parameters.
bool add(STACK_OF(X509_ALGOR) * list, int nid) {
  Algorithm algorithm(X509_ALGOR_new());
  if (!algorithm || X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), V_ASN1_UNDEF, nullptr) != 1 ||
      sk_X509_ALGOR_push(list, algorithm.get()) <= 0)
    return false;
  std::ignore = algorithm.release();
  return true;
}

/// A key agreement names the key wrap that follows it as its parameter (RFC 5753 7.2).
bool add_agreement(STACK_OF(X509_ALGOR) * list, int scheme, int wrap) {
  const Algorithm inner(X509_ALGOR_new());
  if (!inner || X509_ALGOR_set0(inner.get(), OBJ_nid2obj(wrap), V_ASN1_UNDEF, nullptr) != 1) return false;
  const auto der = der_of([&](unsigned char** out) { return i2d_X509_ALGOR(inner.get(), out); });
  Text packed(ASN1_STRING_new());
  Algorithm algorithm(X509_ALGOR_new());
  if (!der || !packed || !algorithm || ASN1_STRING_set(packed.get(), der->data(), static_cast<int>(der->size())) != 1 ||
      X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(scheme), V_ASN1_SEQUENCE, packed.get()) != 1)
    return false;
  std::ignore = packed.release();  // set0 took it
  if (sk_X509_ALGOR_push(list, algorithm.get()) <= 0) return false;
  std::ignore = algorithm.release();
  return true;
}

/// SMIMECapabilities (RFC 8551 2.5.2): OpenSSL's list of AlgorithmIdentifiers is the same on the wire.
Result<RequestAttribute> capabilities(const Algorithms& list) {
  for (const int cipher : content_ciphers)
    if (!add(list.get(), cipher)) return fail(failed());
  auto der = der_of([&](unsigned char** out) { return i2d_X509_ALGORS(list.get(), out); });
  if (!der) return fail(std::move(der.error()));
  return RequestAttribute{.oid = smime_capabilities, .values = {std::move(*der)}};
}

/// AES key wrap (RFC 3565 2.3.2); NID_undef for a key of another size.
int wrap_for(std::size_t size) {
  switch (size) {
    case 16: return NID_id_aes128_wrap;
    case 24: return NID_id_aes192_wrap;
    case 32: return NID_id_aes256_wrap;
    default: return NID_undef;
  }
}

Result<RequestAttribute> ways(const SymmetricDecryptionKey& decryption) {
  const int wrap = wrap_for(decryption.key.size());
  if (wrap == NID_undef) return fail(unusable("it has " + std::to_string(decryption.key.size()) + " bytes"));
  const Algorithms list(sk_X509_ALGOR_new_null());
  if (!list || !add(list.get(), wrap)) return fail(failed());
  return capabilities(list);
}

Result<RequestAttribute> ways(const AsymmetricDecryptionKey& decryption) {
  const auto key = load(decryption);
  if (!key) return fail(key.error());
  const Algorithms list(sk_X509_ALGOR_new_null());
  const bool added = EVP_PKEY_is_a(key->get(), "RSA") == 1
                         ? add(list.get(), NID_rsaesOaep) && add(list.get(), NID_rsaEncryption)
                         : add_agreement(list.get(), NID_dhSinglePass_stdDH_sha256kdf_scheme, NID_id_aes256_wrap) &&
                               add_agreement(list.get(), NID_dhSinglePass_stdDH_sha256kdf_scheme, NID_id_aes128_wrap);
  if (!added) return fail(failed());
  return capabilities(list);
}

template <class Key>
Result<std::vector<RequestAttribute>> attributes(const char* oid, const Key& key) {
  auto identifier = identifier_attribute(oid, key.identifier);
  if (!identifier) return fail(std::move(identifier.error()));
  auto algorithms = ways(key);
  if (!algorithms) return fail(std::move(algorithms.error()));
  return std::vector{std::move(*identifier), std::move(*algorithms)};
}

}  // namespace

Result<std::vector<RequestAttribute>> decryption_attributes(const DecryptionKey& decryption) {
  ERR_clear_error();
  if (const auto* key = std::get_if<SymmetricDecryptionKey>(&decryption))
    return attributes(decrypt_key_identifier, *key);
  if (const auto* key = std::get_if<AsymmetricDecryptionKey>(&decryption))
    return attributes(asymmetric_decrypt_key_identifier, *key);
  return std::vector<RequestAttribute>{};
}

Result<Pkey> load(const AsymmetricDecryptionKey& decryption) {
  ERR_clear_error();
  const BytesView text = decryption.pkcs8.reveal();
  const Bio bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));  // borrows: no copy to wipe
  const bool is_pem = as_text(text).find("-----BEGIN") != std::string_view::npos;
  const unsigned char* position = as_uchar(text);
  Pkey key(is_pem ? PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr)
                  : d2i_AutoPrivateKey(nullptr, &position, static_cast<long>(text.size())));
  if (!key) return fail(unusable(openssl_reason()));
  if (EVP_PKEY_is_a(key.get(), "RSA") != 1 && EVP_PKEY_is_a(key.get(), "EC") != 1)
    return fail(unusable("it is neither an RSA nor an EC key"));
  const auto& certificate = decryption.certificate;
  if (certificate && X509_check_private_key(certificate->get(), key.get()) != 1)
    return fail(unusable("its certificate is for another key: " + openssl_reason()));
  return key;
}

}  // namespace devid::pki
