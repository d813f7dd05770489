#include "tokens/pkcs11/wrapping.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>

#include <tuple>
#include <utility>

#include "base/openssl.h"
#include "tokens/pkcs11/ckr.h"
#include "tokens/pkcs11/key_template.h"
#include "tokens/pkcs11/public_object.h"
#include "tokens/public_key.h"

namespace devid::pkcs11 {
namespace {

using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;
using CipherContext = Owned<EVP_CIPHER_CTX, EVP_CIPHER_CTX_free>;

constexpr std::size_t aes_size = 32;
constexpr KeyAlgorithm transport = KeyAlgorithm::rsa_2048;
constexpr std::size_t most_padding = 16;  // of RFC 5649: the length and a block that is not full

Error cannot_wrap() { return openssl_error(Errc::internal, Retry::later, "cannot encrypt a key to the token"); }

Template transport_public() {
  Template key;
  key.add(CKA_TOKEN, false).add(CKA_WRAP, true).add(CKA_MODULUS_BITS, CK_ULONG{key_bits(transport)});
  key.add(CKA_PUBLIC_EXPONENT, usual_exponent());
  return key;
}

Template unwrapping_key() {
  Template key;
  key.add(CKA_TOKEN, false).add(CKA_PRIVATE, true).add(CKA_SENSITIVE, true).add(CKA_EXTRACTABLE, false);
  key.add(CKA_UNWRAP, true);
  return key;
}

Result<Secret> random_key() {
  Bytes buffer(aes_size);
  const bool made = RAND_priv_bytes(as_uchar(std::span(buffer)), static_cast<int>(buffer.size())) == 1;
  Secret key{BytesView(buffer)};
  wipe(buffer);
  if (!made) return fail(cannot_wrap());
  return key;
}

/// RSAES-OAEP with SHA-1, which is what every token with OAEP has. It needs no hash that resists collisions.
Result<Bytes> encrypt_to(const PublicKey& public_key, const Secret& secret) {
  const auto key = to_evp_public(public_key);
  if (!key) return fail(key.error());
  const PkeyContext context(EVP_PKEY_CTX_new(key->get(), nullptr));
  Bytes encrypted(key_bytes(public_key.algorithm));
  std::size_t size = encrypted.size();
  if (!context || EVP_PKEY_encrypt_init(context.get()) != 1 ||
      EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) != 1 ||
      EVP_PKEY_CTX_set_rsa_oaep_md_name(context.get(), "SHA1", nullptr) != 1 ||
      EVP_PKEY_CTX_set_rsa_mgf1_md_name(context.get(), "SHA1", nullptr) != 1 ||
      EVP_PKEY_encrypt(context.get(), as_uchar(std::span(encrypted)), &size, as_uchar(secret.reveal()),
                       secret.size()) != 1)
    return fail(cannot_wrap());
  encrypted.resize(size);
  return encrypted;
}

/// AES key wrap with padding (RFC 5649).
Result<Bytes> wrap(const Secret& key, const Secret& secret) {
  const CipherContext context(EVP_CIPHER_CTX_new());
  Bytes wrapped(secret.size() + most_padding);
  int size = 0;
  if (!context) return fail(cannot_wrap());
  EVP_CIPHER_CTX_set_flags(context.get(), EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
  if (EVP_EncryptInit_ex(context.get(), EVP_aes_256_wrap_pad(), nullptr, as_uchar(key.reveal()), nullptr) != 1 ||
      EVP_EncryptUpdate(context.get(), as_uchar(std::span(wrapped)), &size, as_uchar(secret.reveal()),
                        static_cast<int>(secret.size())) != 1 ||
      size <= 0)
    return fail(cannot_wrap());
  wrapped.resize(static_cast<std::size_t>(size));
  return wrapped;
}

}  // namespace

Result<std::unique_ptr<Wrapping>> Wrapping::start(Session& session) {
  const auto mechanism = session.unwrapping_mechanism();
  if (!mechanism) return fail(to_error({.name = "C_GetMechanismList", .rv = CKR_MECHANISM_INVALID}));
  std::unique_ptr<Wrapping> wrapping(new Wrapping(session, *mechanism));
  if (auto made = wrapping->make_keys(); !made) return fail(std::move(made.error()));
  return wrapping;
}

Result<> Wrapping::make_keys() {
  const CK_RV rv = session_.generate(CKM_RSA_PKCS_KEY_PAIR_GEN, transport_public(), unwrapping_key(), rsa_);
  if (rv != CKR_OK) return fail(to_error({.name = "C_GenerateKeyPair", .rv = rv}));
  const auto attributes = session_.read(rsa_.public_key, public_attributes);
  if (!attributes) return fail(attributes.error());
  const auto public_key = public_key_in(*attributes);
  if (!public_key) return fail(public_key.error());
  auto key = random_key();
  if (!key) return fail(std::move(key.error()));
  const auto encrypted = encrypt_to(*public_key, *key);
  if (!encrypted) return fail(encrypted.error());
  CK_RSA_PKCS_OAEP_PARAMS oaep{.hashAlg = CKM_SHA_1, .mgf = CKG_MGF1_SHA1, .source = CKZ_DATA_SPECIFIED};
  Template form = unwrapping_key();
  form.add(CKA_CLASS, CK_ULONG{CKO_SECRET_KEY}).add(CKA_KEY_TYPE, CK_ULONG{CKK_AES});
  const auto aes = session_.unwrap({.mechanism = CKM_RSA_PKCS_OAEP, .pParameter = &oaep, .ulParameterLen = sizeof oaep},
                                   rsa_.private_key, *encrypted, std::move(form));
  if (!aes) return fail(aes.error());
  aes_ = *aes;
  key_ = std::move(*key);
  return {};
}

Wrapping::~Wrapping() {
  for (const CK_OBJECT_HANDLE handle : {aes_, rsa_.private_key, rsa_.public_key})
    if (handle != CK_INVALID_HANDLE) std::ignore = session_.destroy(handle);
}

Result<CK_OBJECT_HANDLE> Wrapping::unwrap(const Secret& private_key_info, Template form) const {
  const auto wrapped = wrap(key_, private_key_info);
  if (!wrapped) return fail(wrapped.error());
  return session_.unwrap({.mechanism = mechanism_, .pParameter = nullptr, .ulParameterLen = 0}, aes_, *wrapped,
                         std::move(form));
}

}  // namespace devid::pkcs11
