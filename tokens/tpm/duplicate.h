#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "base/result.h"
#include "base/secret.h"
#include "tokens/outside_key.h"

namespace devid::tpm {

/// A private key as TPM2_Import takes it: only the TPM that has the new parent can read it (TPM 2.0 Part 1, 23.3: an
/// outer wrap, and no inner one).
struct Duplicate {
  TPM2B_PRIVATE wrapped{};
  TPM2B_ENCRYPTED_SECRET seed{};
};

/// The public area of a signing key that was made elsewhere, from that of one that is made in the TPM: it may have been
/// somewhere else before. Without an authPolicy for TPM2_Duplicate it cannot leave again.
TPM2B_PUBLIC imported_area(const TPM2B_PUBLIC& form, const OutsideKey& key);

/// Encrypts a key to the public area of its new parent: a P-256, P-384, P-521 or RSA storage key with AES in CFB mode.
/// Error: token_unsupported for another kind of parent.
Result<Duplicate> duplicate_for(const TPMT_PUBLIC& parent, const OutsideKey& key, const TPM2B_PUBLIC& area,
                                const Secret& auth_value);

}  // namespace devid::tpm
