#include "tokens/openssl/algorithm_identifier.h"

#include <openssl/asn1t.h>
#include <openssl/objects.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include <tuple>

#include "base/openssl.h"

namespace devid::provider {
namespace {

using Algorithm = Owned<X509_ALGOR, X509_ALGOR_free>;
using PssParameters = Owned<RSA_PSS_PARAMS, RSA_PSS_PARAMS_free>;
using Asn1String = Owned<ASN1_STRING, ASN1_STRING_free>;

int digest_nid(Digest digest) {
  switch (digest) {
    case Digest::sha256: return NID_sha256;
    case Digest::sha384: return NID_sha384;
    case Digest::sha512: return NID_sha512;
  }
  return NID_undef;
}

/// An AlgorithmIdentifier whose parameters are a SEQUENCE.
Algorithm with_sequence(int nid, void* value, const ASN1_ITEM* type) {
  Asn1String packed(ASN1_item_pack(value, type, nullptr));
  Algorithm algorithm(X509_ALGOR_new());
  if (!packed || !algorithm || X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), V_ASN1_SEQUENCE, packed.get()) == 0) {
    return nullptr;
  }
  std::ignore = packed.release();  // set0 took it
  return algorithm;
}

Algorithm with_null(int nid) {
  Algorithm algorithm(X509_ALGOR_new());
  if (!algorithm || X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), V_ASN1_NULL, nullptr) == 0) return nullptr;
  return algorithm;
}

Algorithm pss(Digest digest) {
  const PssParameters parameters(RSA_PSS_PARAMS_new());
  Algorithm hash = with_null(digest_nid(digest));
  if (!parameters || !hash) return nullptr;
  Algorithm mask = with_sequence(NID_mgf1, hash.get(), ASN1_ITEM_rptr(X509_ALGOR));
  parameters->saltLength = ASN1_INTEGER_new();
  if (!mask || parameters->saltLength == nullptr ||
      ASN1_INTEGER_set(parameters->saltLength, static_cast<long>(digest_size(digest))) == 0) {
    return nullptr;
  }
  parameters->hashAlgorithm = hash.release();
  parameters->maskGenAlgorithm = mask.release();
  return with_sequence(NID_rsassaPss, parameters.get(), ASN1_ITEM_rptr(RSA_PSS_PARAMS));
}

Algorithm plain(Digest digest, int key_nid, int parameter_type) {
  int nid = NID_undef;
  Algorithm algorithm(X509_ALGOR_new());
  if (!algorithm || OBJ_find_sigid_by_algs(&nid, digest_nid(digest), key_nid) == 0 ||
      X509_ALGOR_set0(algorithm.get(), OBJ_nid2obj(nid), parameter_type, nullptr) == 0) {
    return nullptr;
  }
  return algorithm;
}

Algorithm algorithm_of(SignatureScheme scheme) {
  switch (scheme.padding) {
    case Padding::none: return plain(scheme.digest, NID_X9_62_id_ecPublicKey, V_ASN1_UNDEF);
    case Padding::rsa_pkcs1: return plain(scheme.digest, NID_rsaEncryption, V_ASN1_NULL);
    case Padding::rsa_pss: return pss(scheme.digest);
  }
  return nullptr;
}

}  // namespace

Result<Bytes> algorithm_identifier(SignatureScheme scheme) {
  const Algorithm algorithm = algorithm_of(scheme);
  unsigned char* der = nullptr;
  const int size = algorithm ? i2d_X509_ALGOR(algorithm.get(), &der) : 0;
  if (size <= 0)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot encode the name of a signature algorithm"));
  Bytes encoded = to_bytes(der, static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return encoded;
}

}  // namespace devid::provider
