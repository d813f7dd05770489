#pragma once

#include "base/result.h"
#include "tokens/token.h"
#include "tokens/tpm/context.h"

namespace devid::tpm {

/// What the TPM says of itself: about eleven TPM commands, which need no authorization, change nothing, and leave
/// nothing in it. A TPM without TPM2_Startup says nothing, and a remark says that.
Result<TokenReport> report(Context& context);

}  // namespace devid::tpm
