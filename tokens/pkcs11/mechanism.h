#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "tokens/key.h"
#include "tokens/pkcs11/cryptoki.h"

namespace devid::pkcs11 {

/// The kinds of key that a token says it can make: its mechanisms and their sizes tell. Which curves it has, PKCS#11
/// does not tell: one may still be refused.
Result<std::vector<KeyAlgorithm>> algorithms_of(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot);

/// The mechanism by which a token says that it unwraps private keys with an AES key as in RFC 5649, if it says so of
/// RSAES-OAEP, too. v2.40 does not say which padding CKM_AES_KEY_WRAP_PAD has: the unwrapping shows.
std::optional<CK_MECHANISM_TYPE> unwrapping_mechanism(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot);

/// "ec-p256, rsa-2048", or "none".
std::string algorithms_text(const std::vector<KeyAlgorithm>& algorithms);

}  // namespace devid::pkcs11
