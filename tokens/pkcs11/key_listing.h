#pragma once

#include <vector>

#include "base/result.h"
#include "tokens/pkcs11/session.h"
#include "tokens/token.h"

namespace devid::pkcs11 {

/// The private keys that the session sees, each with its public half, by location; at most 1,024.
Result<std::vector<KeyListing>> list_keys(Session& session);

}  // namespace devid::pkcs11
