#pragma once

#include <tss2/tss2_esys.h>

#include "base/result.h"
#include "tokens/tpm/context.h"

namespace devid::tpm {

/// Makes the object, or the NV index, at a TPM handle known to ESYS: one TPM command.
Result<ESYS_TR> open_handle(Context& context, TPM2_HANDLE handle);

/// The public area of an object that ESYS knows. ESYS read it when the handle was opened; it is taken from there
/// instead of being read again, if its hash is the object's Name. Otherwise it costs a TPM command.
Result<TPM2B_PUBLIC> public_area_of(Context& context, ESYS_TR object);

/// The same for an NV index.
Result<TPM2B_NV_PUBLIC> nv_public_of(Context& context, ESYS_TR index);

/// Whether the handle still leads to the object that ESYS knows: one TPM command.
Result<bool> is_still_there(Context& context, ESYS_TR object);

}  // namespace devid::tpm
