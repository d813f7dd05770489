#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "tokens/key.h"

namespace devid::tpm {

/// What TPM2_Create is asked for: a key that signs and does nothing else, was born in this TPM under this parent and
/// never leaves it. No scheme is fixed: OpenSSL needs PKCS#1 v1.5 for CSRs and PSS for TLS 1.3. It is used with an auth
/// value and, for the empty one, not subject to the lockout: wrong guesses at other keys must not stop it.
TPM2B_PUBLIC signing_key_template(KeyAlgorithm algorithm);

/// The storage root key as the TCG provisions it (TPM v2.0 Provisioning Guidance 7.5.1; EK Credential Profile B.3):
/// P-256, or RSA-2048 for a TPM without it. The TCG's unique field has zeros as long as the key; tpm2-openssl and
/// others derive the parent that they do not keep with an empty one.
enum class Unique { zeros, empty };
TPM2B_PUBLIC storage_key_template(KeyAlgorithm algorithm, Unique unique);

}  // namespace devid::tpm
