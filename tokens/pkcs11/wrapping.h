#pragma once

#include <memory>

#include "base/result.h"
#include "base/secret.h"
#include "tokens/pkcs11/session.h"

namespace devid::pkcs11 {

/// A way for a private key into a token on which nobody sees it: encrypted with an AES key (RFC 5649) that is encrypted
/// to an RSA key (RSAES-OAEP), which the token makes for this once. What CKM_RSA_AES_KEY_WRAP is (PKCS#11 v2.40
/// mechanisms, 2.1.19), by mechanisms that more tokens have. Both keys are session objects, and destroyed at the end.
class Wrapping {
 public:
  /// Error: token_unsupported if the token lacks one of the mechanisms; those of the token.
  static Result<std::unique_ptr<Wrapping>> start(Session& session);
  Wrapping(const Wrapping&) = delete;
  Wrapping& operator=(const Wrapping&) = delete;
  Wrapping(Wrapping&&) = delete;
  Wrapping& operator=(Wrapping&&) = delete;
  ~Wrapping();

  /// Makes an object of a DER PrivateKeyInfo.
  [[nodiscard]] Result<CK_OBJECT_HANDLE> unwrap(const Secret& private_key_info, Template form) const;

 private:
  Wrapping(Session& session, CK_MECHANISM_TYPE mechanism) : session_(session), mechanism_(mechanism) {}
  Result<> make_keys();

  Session& session_;
  CK_MECHANISM_TYPE mechanism_;  ///< by which the AES key unwraps
  Session::KeyPair rsa_;
  CK_OBJECT_HANDLE aes_ = CK_INVALID_HANDLE;
  Secret key_;  ///< the same AES key
};

}  // namespace devid::pkcs11
