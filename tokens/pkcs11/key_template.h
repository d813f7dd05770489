#pragma once

#include "base/result.h"
#include "tokens/key.h"
#include "tokens/pkcs11/object.h"
#include "tokens/pkcs11/session.h"

namespace devid::pkcs11 {

/// Whether attributes that only forbid what nobody asks for are named: there are tokens that refuse them.
enum class Detail { full, least };

/// Where a private key was made.
enum class Origin { token, outside };

/// What every private key of devid shall be: a token object that is private, sensitive and not extractable, and signs.
Template private_template(const ObjectName& name, KeyAlgorithm algorithm, Detail detail);

/// What its public key shall be, without the key itself.
Template public_template(const ObjectName& name, Detail detail);

/// 65537, as CKA_PUBLIC_EXPONENT has it.
BytesView usual_exponent();

/// Whether a private key has become what it shall be. Of one that was made outside, the token says that it has not been
/// protected for always; that is so. Error: token_failed.
Result<> check_protection(Session& session, CK_OBJECT_HANDLE private_key, Origin origin);

}  // namespace devid::pkcs11
