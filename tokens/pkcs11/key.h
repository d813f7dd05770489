#pragma once

#include <memory>
#include <string>

#include "tokens/pkcs11/hsm.h"
#include "tokens/token.h"

namespace devid::pkcs11 {

/// What of a key has to be known before it can sign.
struct KeyFacts {
  PublicKey public_key;
  bool authenticate_always = false;  ///< CKA_ALWAYS_AUTHENTICATE: every signature wants the PIN
};

/// A signing key in a token, known by its CKA_ID or label: handles come and go with the sessions.
class HsmKey final : public PrivateKey {
 public:
  HsmKey(Hsm& hsm, ObjectName name, KeyFacts facts, std::string pem);
  HsmKey(const HsmKey&) = delete;
  HsmKey& operator=(const HsmKey&) = delete;
  HsmKey(HsmKey&&) = delete;
  HsmKey& operator=(HsmKey&&) = delete;
  ~HsmKey() override = default;

  [[nodiscard]] const PublicKey& public_key() const override { return facts_.public_key; }
  [[nodiscard]] std::string pem() const override { return pem_; }
  Result<Bytes> sign(BytesView digest, SignatureScheme scheme) override;

 private:
  Result<Bytes> sign_in(Session& session, BytesView digest, SignatureScheme scheme);

  Hsm& hsm_;
  ObjectName name_;
  KeyFacts facts_;
  std::string pem_;
};

/// The objects of the key that a name means: by CKA_ID, or if the name has none, by the CKA_ID of the private key with
/// this label.
Result<std::vector<Object>> objects_named(Session& session, const ObjectName& name);

/// The facts of a private key. Its public half is told by its public key object, by itself, or by the certificate of
/// its CKA_ID. Errors: token_wrong_key if it may not sign or nothing tells its public half; token_unsupported.
Result<KeyFacts> facts_of(Session& session, const Object& private_key, std::span<const Object> objects);

}  // namespace devid::pkcs11
