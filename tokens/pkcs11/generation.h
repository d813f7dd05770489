#pragma once

#include <functional>

#include "base/result.h"
#include "tokens/pkcs11/hsm.h"
#include "tokens/pkcs11/key.h"
#include "tokens/pkcs11/key_template.h"
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

/// What generate() and import_key() share. A pair is made in the session, if need be once more in another, under a
/// label that begins with "devid:" and a random CKA_ID; what it leaves behind when it fails is destroyed.
using MakePair = std::function<Result<Generated>(Session&, ObjectName)>;
Result<Generated> make_pair(Hsm& hsm, const KeySpec& spec, const MakePair& make);

/// The session can write to the token. Error: token_read_only.
Result<> require_writable(const Session& session);

/// Checks what was made, and remembers it in the session. Errors: those of check_protection() and facts_of();
/// token_failed if it is of another kind.
Result<Generated> facts_of_pair(Session& session, const Session::KeyPair& pair, ObjectName name, KeyAlgorithm algorithm,
                                Origin origin);

/// Destroys what devid made under a CKA_ID: private key, public key, certificate. Nothing there is no error. Error:
/// token_wrong_key if there is a private key that devid did not make.
Result<> destroy_ours(Session& session, const Bytes& id);

}  // namespace devid::pkcs11
