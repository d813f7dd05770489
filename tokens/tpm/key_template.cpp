#include "tokens/tpm/key_template.h"

#include "tokens/tpm/hash.h"

namespace devid::tpm {
namespace {

constexpr TPMA_OBJECT born_here = TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT | TPMA_OBJECT_SENSITIVEDATAORIGIN |
                                  TPMA_OBJECT_USERWITHAUTH | TPMA_OBJECT_NODA;
constexpr TPMT_SYM_DEF_OBJECT no_symmetric{.algorithm = TPM2_ALG_NULL};
constexpr TPMT_SYM_DEF_OBJECT aes_128_cfb{
    .algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};

TPMS_RSA_PARMS rsa_parameters(KeyAlgorithm algorithm, const TPMT_SYM_DEF_OBJECT& symmetric) {
  return {.symmetric = symmetric,
          .scheme = {.scheme = TPM2_ALG_NULL},
          .keyBits = static_cast<TPMI_RSA_KEY_BITS>(key_bits(algorithm)),
          .exponent = 0};
}

TPMI_ECC_CURVE curve_of(KeyAlgorithm algorithm) {
  switch (algorithm) {
    case KeyAlgorithm::ec_p384: return TPM2_ECC_NIST_P384;
    case KeyAlgorithm::ec_p521: return TPM2_ECC_NIST_P521;
    default: return TPM2_ECC_NIST_P256;
  }
}

TPMS_ECC_PARMS ecc_parameters(KeyAlgorithm algorithm, const TPMT_SYM_DEF_OBJECT& symmetric) {
  return {.symmetric = symmetric,
          .scheme = {.scheme = TPM2_ALG_NULL},
          .curveID = curve_of(algorithm),
          .kdf = {.scheme = TPM2_ALG_NULL}};
}

TPM2B_PUBLIC area(KeyAlgorithm algorithm, TPMA_OBJECT attributes, const TPMT_SYM_DEF_OBJECT& symmetric) {
  TPM2B_PUBLIC result{};
  TPMT_PUBLIC& area = result.publicArea;
  area.nameAlg = hash_algorithm(digest_for(algorithm));
  area.objectAttributes = attributes;
  if (is_rsa(algorithm)) {
    area.type = TPM2_ALG_RSA;
    area.parameters.rsaDetail = rsa_parameters(algorithm, symmetric);
  } else {
    area.type = TPM2_ALG_ECC;
    area.parameters.eccDetail = ecc_parameters(algorithm, symmetric);
  }
  return result;
}

}  // namespace

TPM2B_PUBLIC signing_key_template(KeyAlgorithm algorithm) {
  return area(algorithm, born_here | TPMA_OBJECT_SIGN_ENCRYPT, no_symmetric);
}

TPM2B_PUBLIC storage_key_template(KeyAlgorithm algorithm, Unique unique) {
  TPM2B_PUBLIC result = area(algorithm, born_here | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_DECRYPT, aes_128_cfb);
  if (unique == Unique::empty) return result;
  // Every tool that uses the template derives the same key.
  TPMU_PUBLIC_ID& field = result.publicArea.unique;
  if (is_rsa(algorithm)) {
    field.rsa.size = static_cast<UINT16>(key_bytes(algorithm));
  } else {
    field.ecc.x.size = static_cast<UINT16>(key_bytes(algorithm));
    field.ecc.y.size = field.ecc.x.size;
  }
  return result;
}

}  // namespace devid::tpm
