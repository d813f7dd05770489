#pragma once

#include <memory>
#include <string>

#include "tokens/token.h"
#include "tokens/tpm/tpm_spec.h"

namespace devid {

/// A TPM 2.0. Keys are made as children of the storage root key, which is made if it is absent, and are kept outside
/// the TPM as TSS2 PEM: only this TPM can use them. The file names the parent, so that keys open after the
/// configuration has changed. Keys that were there before are opened by their persistent handle ("handle:0x81020000"),
/// IDevIDs that are not kept by their template and the form of its field `unique` ("template:H-2/both", see
/// tokens/tpm/idevid_template.h; "template:H-2" alone is a usage error), certificates by their NV index
/// ("nv:0x01c90200").
///
/// A key that was made elsewhere becomes such a child, too: it crosses the bus encrypted to the storage root key.
///
/// Connects when it is first needed, and again when the TPM was away or reset: one context for the life of the object.
/// Authorizations go through one salted HMAC session with parameter encryption. At most one transient object is in the
/// TPM between calls, none before a Create or Load, and none once the last PrivateKey is gone. A storage root key that
/// is not persistent is one more: it is made once, and stays until the last PrivateKey is gone.
/// Behind a resource manager (/dev/tpmrm0) other users do not matter. Without one devid wants the TPM to itself: when
/// its slots are full, it flushes what a crashed process left behind, which is everything that it does not hold itself.
class TpmToken final : public Token {
 public:
  explicit TpmToken(TpmSpec spec);
  TpmToken(const TpmToken&) = delete;
  TpmToken& operator=(const TpmToken&) = delete;
  TpmToken(TpmToken&&) = delete;
  TpmToken& operator=(TpmToken&&) = delete;
  ~TpmToken() override;

  [[nodiscard]] TokenDescription description() const override;
  Result<std::unique_ptr<PrivateKey>> create_key(const KeySpec& spec) override;
  Result<std::unique_ptr<PrivateKey>> import_key(const KeySpec& spec, const Secret& pkcs8) override;
  Result<std::unique_ptr<PrivateKey>> open_key(std::string_view pem) override;
  Result<std::unique_ptr<PrivateKey>> open_key_at(std::string_view location) override;
  Result<Bytes> read_certificate(std::string_view location) override;
  Result<> destroy_key(std::string_view pem) override;
  Result<std::vector<KeyListing>> list_keys() override;
  Result<std::vector<CertificateListing>> list_certificates() override;
  [[nodiscard]] std::vector<std::string> derivable_keys(KeyAlgorithm algorithm) const override;
  Result<> store_certificate(std::string_view pem, BytesView certificate) override;
  Result<TokenReport> inspect() override;

 private:
  Result<std::unique_ptr<PrivateKey>> derive_key(std::string_view location);

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace devid
