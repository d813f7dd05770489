#pragma once

#include "agent/identity/key_settings.h"
#include "agent/pki/server_key.h"
#include "base/result.h"

namespace devid::identity {

/// The key to decrypt a key with that a server made, read anew from where the profile says that it is; none where TLS
/// alone protects it. Errors: config_missing, config_invalid.
Result<pki::DecryptionKey> read_decryption_key(const KeyFromServer& settings);

}  // namespace devid::identity
