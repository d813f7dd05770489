#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <memory>
#include <string>
#include <variant>

#include "tokens/token.h"
#include "tokens/tpm/tpm.h"

namespace devid::tpm {

/// A signing key: a blob beneath the storage root key, something at a persistent handle, or derived from a template.
class TpmKey final : public PrivateKey {
 public:
  /// Checks that it is a signing key of a kind that devid uses. `pem` is kept as it is.
  static Result<std::unique_ptr<PrivateKey>> from_blob(Tpm& tpm, KeyBlob blob, std::string pem);
  static Result<std::unique_ptr<PrivateKey>> from_handle(Tpm& tpm, TPM2_HANDLE handle, const TPM2B_PUBLIC& area);
  static Result<std::unique_ptr<PrivateKey>> from_template(Tpm& tpm, DerivedKey key, const TPM2B_PUBLIC& area);
  TpmKey(const TpmKey&) = delete;
  TpmKey& operator=(const TpmKey&) = delete;
  TpmKey(TpmKey&&) = delete;
  TpmKey& operator=(TpmKey&&) = delete;
  ~TpmKey() override;

  [[nodiscard]] const PublicKey& public_key() const override { return public_key_; }
  [[nodiscard]] std::string pem() const override { return pem_; }
  Result<Bytes> sign(BytesView digest, SignatureScheme scheme) override;

 private:
  using Place = std::variant<KeyBlob, DerivedKey, TPM2_HANDLE>;
  TpmKey(Tpm& tpm, Place place, const TPM2B_PUBLIC& area, PublicKey public_key, std::string pem);

  Tpm& tpm_;
  Tpm::Use use_{tpm_};
  Place place_;
  TPM2B_PUBLIC area_;
  PublicKey public_key_;
  std::string pem_;
};

}  // namespace devid::tpm
