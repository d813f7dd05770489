#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/key.h"

namespace devid::tpm {

/// A TPM2B_PUBLIC with its size, as TSS2 PEM carries it, to the structure and back. The bytes are untrusted: anything
/// left over or cut off is token_wrong_key.
Result<TPM2B_PUBLIC> parse_public(BytesView bytes);
Result<Bytes> write_public(const TPM2B_PUBLIC& area);

/// The public key in it. Error: token_unsupported for a kind that devid does not use.
Result<PublicKey> public_key_from(const TPMT_PUBLIC& area);

/// Whether devid can sign digests of its own with the key: it may sign, whatever it is given, with an auth value
/// or with a policy that devid knows (tokens/tpm/idevid_policy.h).
/// Errors: token_wrong_key, token_unsupported.
Result<> require_signing_key(const TPMT_PUBLIC& area);

/// The same without the last condition: for a key that is used with a policy.
Result<> require_signing_kind(const TPMT_PUBLIC& area);

/// Whether keys can be made beneath it: a restricted decryption key that stays in this TPM. Error: token_wrong_key.
Result<> require_storage_key(const TPMT_PUBLIC& area);

}  // namespace devid::tpm
