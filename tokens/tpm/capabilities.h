#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokens/key.h"
#include "tokens/tpm/context.h"

namespace devid::tpm {

/// The kinds of keys that the TPM makes: some eight TPM commands, for reports and after failures.
Result<std::vector<KeyAlgorithm>> supported_algorithms(Context& context);

/// The banks that have registers, by name: "sha256".
Result<std::vector<std::string>> active_banks(Context& context);

/// Properties (TPM 2.0 Part 2, 6.13) from `first` on, as many as the TPM gives at once.
Result<std::map<TPM2_PT, UINT32>> properties_from(Context& context, TPM2_PT first);

}  // namespace devid::tpm
