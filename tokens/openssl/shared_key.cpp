#include "tokens/openssl/shared_key.h"

#include <utility>

#include "tokens/public_key.h"

namespace devid::provider {
namespace {

/// What PrivateKey::sign returns for this key: r‖s, or a number as long as the modulus.
std::size_t raw_size(const EVP_PKEY* public_part, KeyAlgorithm algorithm) {
  const auto octets = static_cast<std::size_t>((EVP_PKEY_get_bits(public_part) + 7) / 8);
  return is_rsa(algorithm) ? octets : 2 * octets;
}

}  // namespace

SharedKey::SharedKey(PrivateKey& key, Pkey public_part)
    : key_(&key), public_part_(std::move(public_part)), algorithm_(key.public_key().algorithm) {}

KeyReference SharedKey::make(PrivateKey& key, Pkey public_part) {
  return KeyReference(new SharedKey(key, std::move(public_part)));
}

KeyReference SharedKey::retain() {
  references_.fetch_add(1, std::memory_order_relaxed);
  return KeyReference(this);
}

void SharedKey::release(SharedKey* key) noexcept {
  if (key->references_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
  delete key;  // NOLINT(cppcoreguidelines-owning-memory): the references owned it together
}

std::size_t SharedKey::signature_size() const {
  const int size = EVP_PKEY_get_size(public_part_.get());
  return size > 0 ? static_cast<std::size_t>(size) : 0;
}

Result<Bytes> SharedKey::sign(BytesView digest, SignatureScheme scheme) {
  auto signature = sign_by_token(digest, scheme);
  error_ = signature ? std::nullopt : std::optional(signature.error());
  return signature;
}

Result<Bytes> SharedKey::sign_by_token(BytesView digest, SignatureScheme scheme) {
  if (key_ == nullptr)
    return fail({.code = Errc::internal, .what = "cannot sign with a key of the token after it was closed"});
  auto signature = key_->sign(digest, scheme);
  if (!signature) return signature;
  ++signatures_;
  if (signature->size() != raw_size(public_part_.get(), algorithm_)) {
    return fail({.code = Errc::token_failed,
                 .retry = Retry::later,
                 .what = "the token returned a signature of " + std::to_string(signature->size()) + " bytes"});
  }
  return is_rsa(algorithm_) ? std::move(signature) : ecdsa_to_der(*signature);
}

std::optional<Error> SharedKey::take_error() { return std::exchange(error_, std::nullopt); }

}  // namespace devid::provider
