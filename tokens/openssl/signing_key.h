#pragma once

#include <memory>
#include <optional>

#include "base/openssl.h"
#include "base/result.h"
#include "tokens/token.h"

namespace devid {

/// Makes a PrivateKey an EVP_PKEY that OpenSSL can sign CSRs with and authenticate TLS 1.2 and 1.3 with.
/// Every signature is one PrivateKey::sign; hashing, key agreement and the peer's verification stay in OpenSSL's
/// default provider, because the key lives in a private OSSL_LIB_CTX with a provider of our own (docs/decisions/). The
/// PrivateKey must outlive it. Same thread rule as PrivateKey.
class SigningKey {
 public:
  static Result<std::unique_ptr<SigningKey>> wrap(PrivateKey& key);
  SigningKey(const SigningKey&) = delete;
  SigningKey& operator=(const SigningKey&) = delete;
  SigningKey(SigningKey&&) = delete;
  SigningKey& operator=(SigningKey&&) = delete;
  ~SigningKey();

  /// Borrowed; take a reference (EVP_PKEY_up_ref) to keep it no longer than this object lives.
  [[nodiscard]] EVP_PKEY* get() const;
  [[nodiscard]] const PublicKey& public_key() const;

  /// Why the last signature failed, if it did: OpenSSL loses the text of it on the way through TLS. Cleared by the
  /// call.
  [[nodiscard]] std::optional<Error> take_error();

  /// How many signatures the token has made through this object: shows that TLS really used the certificate.
  [[nodiscard]] unsigned signatures() const;

 private:
  struct State;
  explicit SigningKey(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid
