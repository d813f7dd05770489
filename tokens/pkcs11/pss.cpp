#define OPENSSL_SUPPRESS_DEPRECATED  // OpenSSL 3 has no other entry to its PSS encoding than that for an RSA*

#include "tokens/pkcs11/pss.h"

#include <openssl/rsa.h>

#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid::pkcs11 {

Result<Bytes> encode_pss(const PublicKey& key, BytesView digest, Digest algorithm) {
  const auto evp = to_evp_public(key);
  if (!evp) return fail(evp.error());
  const Owned<RSA, RSA_free> rsa(EVP_PKEY_get1_RSA(evp->get()));
  Bytes encoded(key_bytes(key.algorithm));
  const EVP_MD* md = message_digest(algorithm);
  if (!rsa || digest.size() != digest_size(algorithm) ||
      RSA_padding_add_PKCS1_PSS_mgf1(rsa.get(), as_uchar(std::span(encoded)), as_uchar(digest), md, md,
                                     RSA_PSS_SALTLEN_DIGEST) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot encode a digest for RSA-PSS"));
  return encoded;
}

}  // namespace devid::pkcs11
