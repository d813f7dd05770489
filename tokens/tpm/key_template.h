#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "tokens/key.h"

namespace devid::tpm {

/// What TPM2_Create is asked for: a key that signs and does nothing else, was born in this TPM under this parent and
/// never leaves it. No scheme is fixed: OpenSSL needs PKCS#1 v1.5 for CSRs and PSS for TLS 1.3. Not subject to the
/// lockout: its auth value is empty, and wrong guesses at other keys must not stop it.
TPM2B_PUBLIC signing_key_template(KeyAlgorithm algorithm);

/// The storage root key as the TCG provisions it (TPM v2.0 Provisioning Guidance 7.5.1; EK Credential Profile B.3):
/// P-256, or RSA-2048 for a TPM without it.
TPM2B_PUBLIC storage_key_template(KeyAlgorithm algorithm);

}  // namespace devid::tpm
