#pragma once

#include <array>

#include "base/result.h"
#include "tokens/key.h"
#include "tokens/pkcs11/object.h"

namespace devid::pkcs11 {

/// What of a key object public_key_in() reads.
constexpr std::array<CK_ATTRIBUTE_TYPE, 5> public_attributes{CKA_KEY_TYPE, CKA_EC_PARAMS, CKA_EC_POINT, CKA_MODULUS,
                                                             CKA_PUBLIC_EXPONENT};

/// The DER of a named curve's OID, as CKA_EC_PARAMS has it (PKCS#11 v2.40 mechanisms, 2.3.3).
BytesView curve_oid(KeyAlgorithm algorithm);

/// A point as CKA_EC_POINT has it: uncompressed, in a DER OCTET STRING (PKCS#11 v2.40 mechanisms, 2.3.3).
Result<Bytes> ec_point(BytesView x, BytesView y);

/// The public key that the attributes of a public, or of a private RSA, key tell. A point may be in its OCTET STRING,
/// as the standard has it, or bare, as some modules do. Errors: token_wrong_key if they do not tell it,
/// token_unsupported for another kind of key than ours.
Result<PublicKey> public_key_in(const Attributes& attributes);

/// The public key of a certificate (DER). Errors: token_wrong_key, token_unsupported.
Result<PublicKey> public_key_of_certificate(BytesView der);

}  // namespace devid::pkcs11
