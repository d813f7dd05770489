#pragma once

#include <string>

#include "base/error.h"
#include "tokens/pkcs11/cryptoki.h"

namespace devid::pkcs11 {

/// "CKR_PIN_INCORRECT", or "0x80000001" for one that the standard does not name.
std::string ckr_name(CK_RV rv);

/// The one place where a module's failures become ours: code, advice, and the CKR's name as the reason.
Error to_error(const Call& call);

/// The session, its login or a handle is of no use any more, or the module stumbled: a new session may help.
bool is_lost(CK_RV rv);
/// The PIN is wrong or cannot be right.
bool refuses_pin(CK_RV rv);
/// It may mean anything: there are modules that answer so to a wrong PIN, too.
bool says_nothing(CK_RV rv);
/// The token does not do this mechanism.
bool refuses_mechanism(CK_RV rv);
/// The token does not like an attribute, or that one is there or not.
bool refuses_template(CK_RV rv);
/// The object is not there.
bool is_missing_object(CK_RV rv);

}  // namespace devid::pkcs11
