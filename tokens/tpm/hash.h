#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <initializer_list>
#include <string>

#include "base/bytes.h"
#include "tokens/key.h"

namespace devid::tpm {

TPMI_ALG_HASH hash_algorithm(Digest digest);
/// "sha256"; "0x12" for one that devid does not know.
std::string hash_name(TPMI_ALG_HASH algorithm);

/// The hash of the parts, one after the other; empty if devid does not know the algorithm.
Bytes hash_of(TPMI_ALG_HASH algorithm, std::initializer_list<BytesView> parts);

}  // namespace devid::tpm
