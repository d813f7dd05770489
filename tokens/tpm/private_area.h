#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "base/bytes.h"
#include "base/result.h"

namespace devid::tpm {

/// A TPM2B_PRIVATE with its size, as TSS2 PEM carries it, to the structure and back. The bytes are untrusted: anything
/// left over or cut off is token_wrong_key.
Result<TPM2B_PRIVATE> parse_private(BytesView bytes);
Result<Bytes> write_private(const TPM2B_PRIVATE& area);

}  // namespace devid::tpm
