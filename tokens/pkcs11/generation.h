#pragma once

#include "base/result.h"
#include "tokens/pkcs11/hsm.h"
#include "tokens/pkcs11/key.h"
#include "tokens/token.h"

namespace devid::pkcs11 {

/// A key pair that was just made, by name.
struct Generated {
  ObjectName name;
  KeyFacts facts;
  CK_TOKEN_INFO token{};
};

/// Makes a key pair in the token: token objects, the private key private, sensitive and not extractable, as is read
/// back. The label begins with "devid:", the CKA_ID is random. On any error nothing of it is left behind, as far as the
/// token can be reached.
Result<Generated> generate(Hsm& hsm, const KeySpec& spec);

/// Destroys what devid made under a CKA_ID: private key, public key, certificate. Nothing there is no error. Error:
/// token_wrong_key if there is a private key that devid did not make.
Result<> destroy_ours(Session& session, const Bytes& id);

}  // namespace devid::pkcs11
