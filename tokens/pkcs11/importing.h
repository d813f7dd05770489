#pragma once

#include "base/result.h"
#include "tokens/outside_key.h"
#include "tokens/pkcs11/generation.h"
#include "tokens/pkcs11/hsm.h"
#include "tokens/token.h"

namespace devid::pkcs11 {

/// Takes a key that was made outside into the token: as generate() makes one, but that the token does not call it
/// local, always sensitive and never extractable. Unwrapped in the token where that can be done (wrapping.h), else by
/// C_CreateObject. On any error nothing of it is left behind, as far as the token can be reached.
Result<Generated> import_key(Hsm& hsm, const KeySpec& spec, const OutsideKey& key);

}  // namespace devid::pkcs11
