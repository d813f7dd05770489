#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/key.h"

namespace devid::tpm {

/// What TPM2_Sign is told. Error: token_unsupported if the scheme does not fit the kind of key, or the one scheme that
/// was fixed when the key was made.
Result<TPMT_SIG_SCHEME> scheme_for(const TPMT_PUBLIC& area, SignatureScheme scheme);

/// The TPM's signature as PrivateKey::sign returns it. Error: token_failed if it is not of the key's kind and length.
Result<Bytes> signature_bytes(const TPMT_SIGNATURE& signature, KeyAlgorithm algorithm);

/// Checks in software what the TPM signed, so that a wrong key is noticed here and not by a server.
/// Errors: token_wrong_key; token_unsupported if it is the right key but the TPM salts PSS in its own way.
Result<> check_signature(const PublicKey& key, BytesView digest, SignatureScheme scheme, BytesView signature);

}  // namespace devid::tpm
