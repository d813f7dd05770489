#pragma once

#include <atomic>
#include <cstddef>
#include <optional>

#include "base/openssl.h"
#include "base/result.h"
#include "tokens/token.h"

namespace devid::provider {

/// What a SigningKey shares with the EVP_PKEYs made of it. OpenSSL may keep those for longer (an SSL_CTX does), so it
/// is counted by reference, each held as a KeyReference. References may go on any thread; all else is for the worker
/// thread.
class SharedKey {
 public:
  static void release(SharedKey* key) noexcept;
  using Reference = Owned<SharedKey, &SharedKey::release>;

  /// `public_part` is the public key in the default provider of the private context.
  static Reference make(PrivateKey& key, Pkey public_part);
  SharedKey(const SharedKey&) = delete;
  SharedKey& operator=(const SharedKey&) = delete;
  SharedKey(SharedKey&&) = delete;
  SharedKey& operator=(SharedKey&&) = delete;

  Reference retain();

  /// The PrivateKey goes away: from now on signing fails.
  void detach() { key_ = nullptr; }

  [[nodiscard]] EVP_PKEY* public_part() const { return public_part_.get(); }
  [[nodiscard]] KeyAlgorithm algorithm() const { return algorithm_; }
  /// The most octets that a signature has.
  [[nodiscard]] std::size_t signature_size() const;

  /// A signature as X.509 and TLS carry it: DER for EC. Counted; a failure is remembered.
  Result<Bytes> sign(BytesView digest, SignatureScheme scheme);

  [[nodiscard]] unsigned signatures() const { return signatures_; }
  [[nodiscard]] std::optional<Error> take_error();

 private:
  SharedKey(PrivateKey& key, Pkey public_part);
  ~SharedKey() = default;
  Result<Bytes> sign_by_token(BytesView digest, SignatureScheme scheme);

  std::atomic<unsigned> references_{1};
  PrivateKey* key_;
  Pkey public_part_;
  KeyAlgorithm algorithm_;
  std::optional<Error> error_;
  unsigned signatures_ = 0;
};

using KeyReference = SharedKey::Reference;

}  // namespace devid::provider
