#pragma once

#include "base/result.h"
#include "tokens/tpm/context.h"
#include "tokens/tpm/object.h"

namespace devid::tpm {

/// The storage root key at 0x81000001. Made from the TCG's template if nothing is there; whatever else is there is left
/// alone, and is token_wrong_key if keys cannot be made beneath it.
Result<PersistentObject> open_storage_root(Context& context);

}  // namespace devid::tpm
