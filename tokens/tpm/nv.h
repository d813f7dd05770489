#pragma once

#include <tss2/tss2_tpm2_types.h>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/tpm/connection.h"

namespace devid::tpm {

/// Everything that an NV index holds, at most 16 KiB. Errors: idevid_missing if there is no such index or nothing was
/// written to it; token_unsupported if neither an empty auth value nor the owner may read it.
Result<Bytes> read_nv(Connection& connection, TPM2_HANDLE index);

}  // namespace devid::tpm
