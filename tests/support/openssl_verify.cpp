#include "tests/support/openssl_verify.h"

#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid::test {
namespace {

Pkey evp_key(const PublicKey& key) {
  const unsigned char* at = as_uchar(BytesView(key.spki));
  return Pkey(d2i_PUBKEY(nullptr, &at, static_cast<long>(key.spki.size())));
}

Bytes der_signature(BytesView raw) {
  const int half = static_cast<int>(raw.size() / 2);
  const Owned<ECDSA_SIG, ECDSA_SIG_free> signature(ECDSA_SIG_new());
  ECDSA_SIG_set0(signature.get(), BN_bin2bn(as_uchar(raw), half, nullptr),
                 BN_bin2bn(as_uchar(raw.subspan(raw.size() / 2)), half, nullptr));
  Bytes der(static_cast<std::size_t>(i2d_ECDSA_SIG(signature.get(), nullptr)));
  unsigned char* at = as_uchar(std::span(der));
  i2d_ECDSA_SIG(signature.get(), &at);
  return der;
}

}  // namespace

Bytes a_digest(Digest digest, unsigned char first) {
  Bytes bytes(digest_size(digest), std::byte{0x5a});
  bytes.front() = std::byte{first};
  return bytes;
}

bool verifies(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature) {
  const Pkey pkey = evp_key(key);
  if (!pkey) return false;
  const bool ec = scheme.padding == Padding::none;
  if (signature.size() !=
      static_cast<std::size_t>(ec ? (EVP_PKEY_get_bits(pkey.get()) + 7) / 8 * 2 : EVP_PKEY_get_size(pkey.get()))) {
    return false;
  }
  const Bytes der = ec ? der_signature(signature) : to_bytes(signature);
  const Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free> ctx(EVP_PKEY_CTX_new(pkey.get(), nullptr));
  if (EVP_PKEY_verify_init(ctx.get()) != 1) return false;
  if (EVP_PKEY_CTX_set_signature_md(ctx.get(), message_digest(scheme.digest)) != 1) return false;
  if (scheme.padding == Padding::rsa_pss && (EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_PSS_PADDING) != 1 ||
                                             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx.get(), RSA_PSS_SALTLEN_DIGEST) != 1))
    return false;
  return EVP_PKEY_verify(ctx.get(), as_uchar(BytesView(der)), der.size(), as_uchar(digest), digest.size()) == 1;
}

}  // namespace devid::test
