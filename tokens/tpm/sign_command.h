#pragma once

#include <tss2/tss2_esys.h>

#include "base/bytes.h"
#include "tokens/tpm/context.h"

namespace devid::tpm {

/// What TPM2_Sign is asked for. `digest` is one of the scheme's hash.
struct SignRequest {
  BytesView digest;
  TPMT_SIG_SCHEME scheme;
};

/// TPM2_Sign, once.
Call send_sign(Context& context, ESYS_TR key, ESYS_TR session, const SignRequest& request,
               Esys<TPMT_SIGNATURE>& signature);

}  // namespace devid::tpm
