#include "tokens/tpm/signature.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>

#include <algorithm>
#include <span>
#include <string>

#include "base/openssl.h"
#include "tokens/public_key.h"
#include "tokens/tpm/hash.h"

namespace devid::tpm {
namespace {

using PkeyContext = Owned<EVP_PKEY_CTX, EVP_PKEY_CTX_free>;

Error unsupported(std::string what, std::string hint) {
  return {.code = Errc::token_unsupported,
          .retry = Retry::after_operator,
          .what = std::move(what),
          .hint = std::move(hint)};
}

Error malformed() {
  return {.code = Errc::token_failed, .retry = Retry::later, .what = "the TPM's signature is not of the key's kind"};
}

TPMI_ALG_SIG_SCHEME algorithm_of(Padding padding) {
  switch (padding) {
    case Padding::none: return TPM2_ALG_ECDSA;
    case Padding::rsa_pkcs1: return TPM2_ALG_RSASSA;
    case Padding::rsa_pss: return TPM2_ALG_RSAPSS;
  }
  return TPM2_ALG_NULL;
}

/// The scheme that was fixed when the key was made, TPM2_ALG_NULL for none, and its hash.
struct Fixed {
  TPMI_ALG_SIG_SCHEME scheme;
  TPMI_ALG_HASH hash;
};

Fixed fixed_scheme(const TPMT_PUBLIC& area) {
  if (area.type == TPM2_ALG_ECC) {
    const TPMT_ECC_SCHEME& scheme = area.parameters.eccDetail.scheme;
    return {.scheme = scheme.scheme, .hash = scheme.details.ecdsa.hashAlg};
  }
  const TPMT_RSA_SCHEME& scheme = area.parameters.rsaDetail.scheme;
  return {.scheme = scheme.scheme, .hash = scheme.details.rsassa.hashAlg};
}

template <class Number>
bool append_padded(Bytes& out, const Number& number, std::size_t size) {
  const BytesView octets = std::as_bytes(std::span(number.buffer, number.size));
  if (octets.size() > size) return false;
  out.insert(out.end(), size - octets.size(), std::byte{0});
  out.insert(out.end(), octets.begin(), octets.end());
  return true;
}

bool verifies_with_another_salt(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature) {
  const auto pkey = to_evp_public(key);
  if (!pkey) return false;
  const PkeyContext ctx(EVP_PKEY_CTX_new(pkey->get(), nullptr));
  const bool verified =
      ctx && EVP_PKEY_verify_init(ctx.get()) == 1 &&
      EVP_PKEY_CTX_set_rsa_padding(ctx.get(), RSA_PKCS1_PSS_PADDING) == 1 &&
      EVP_PKEY_CTX_set_signature_md(ctx.get(), message_digest(scheme.digest)) == 1 &&
      EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx.get(), RSA_PSS_SALTLEN_AUTO) == 1 &&
      EVP_PKEY_verify(ctx.get(), as_uchar(signature), signature.size(), as_uchar(digest), digest.size()) == 1;
  if (!verified) openssl_reason();  // leaves nothing in the queue of this thread
  return verified;
}

}  // namespace

Result<TPMT_SIG_SCHEME> scheme_for(const TPMT_PUBLIC& area, SignatureScheme scheme) {
  if ((area.type == TPM2_ALG_ECC) != (scheme.padding == Padding::none)) {
    return fail(unsupported(
        area.type == TPM2_ALG_ECC ? "an EC key makes no RSA signatures" : "an RSA key needs a padding to sign with",
        ""));
  }
  const TPMI_ALG_SIG_SCHEME algorithm = algorithm_of(scheme.padding);
  const TPMI_ALG_HASH hash = hash_algorithm(scheme.digest);
  const Fixed fixed = fixed_scheme(area);
  if (fixed.scheme != TPM2_ALG_NULL && (fixed.scheme != algorithm || fixed.hash != hash)) {
    return fail(unsupported("the key was made for one signature scheme, and this is another",
                            "make the server accept the hash and padding that were fixed when the key was made"));
  }
  TPMT_SIG_SCHEME result{.scheme = algorithm};
  result.details.any.hashAlg = hash;
  return result;
}

Result<Bytes> signature_bytes(const TPMT_SIGNATURE& signature, KeyAlgorithm algorithm) {
  const std::size_t size = key_bytes(algorithm);
  Bytes bytes;
  if (!is_rsa(algorithm)) {
    const TPMS_SIGNATURE_ECC& pair = signature.signature.ecdsa;
    if (signature.sigAlg != TPM2_ALG_ECDSA || !append_padded(bytes, pair.signatureR, size) ||
        !append_padded(bytes, pair.signatureS, size)) {
      return fail(malformed());
    }
    return bytes;
  }
  if (signature.sigAlg != TPM2_ALG_RSASSA && signature.sigAlg != TPM2_ALG_RSAPSS) return fail(malformed());
  // RSASSA and RSAPSS have the same form in the union.
  if (!append_padded(bytes, signature.signature.rsassa.sig, size)) return fail(malformed());
  return bytes;
}

Result<> check_signature(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature) {
  auto verified = verify(key, digest, scheme, signature);
  if (verified) return {};
  if (scheme.padding == Padding::rsa_pss && verifies_with_another_salt(key, digest, scheme, signature)) {
    return fail(
        unsupported("the TPM makes RSA-PSS signatures with a salt that is not as long as the digest, which TLS "
                    "1.3 does not accept",
                    "use an EC key on this TPM"));
  }
  return verified;
}

}  // namespace devid::tpm
