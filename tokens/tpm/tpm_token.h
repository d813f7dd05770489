#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/secret_source.h"
#include "tokens/token.h"

namespace devid {

/// Which TPM, and under which name profiles know it.
struct TpmSpec {
  std::string tcti = "device:/dev/tpmrm0";  ///< as Tss2_TctiLdr_Initialize reads it: "swtpm:host=127.0.0.1,port=2321"
  std::string name = "tpm";
  /// The persistent handle of the storage root key; none: it is made anew when it is needed, and nothing is persistent.
  std::optional<std::uint32_t> storage_root = 0x81000001;
  std::optional<SecretSource> owner_auth;         ///< of the owner hierarchy; none: empty
  std::optional<SecretSource> endorsement_auth;   ///< of the endorsement hierarchy; none: empty
  std::optional<SecretSource> storage_root_auth;  ///< of the storage root key; none: empty
  /// Of keys that were made with AuthValue. A file that is not there is made, with 128 random bits as 32 hexadecimal
  /// digits, when the first such key is made.
  std::optional<SecretSource> key_auth;
};

/// A TPM 2.0. Keys are made as children of the storage root key at 0x81000001, which is made if it is absent, and are
/// kept outside the TPM as TSS2 PEM: only this TPM can use them. Keys that were there before are opened by their
/// persistent handle ("handle:0x81020000"), certificates by their NV index ("nv:0x01c90200").
///
/// Connects when it is first needed, and again when the TPM was away or reset: one context for the life of the object.
/// Authorizations go through one salted HMAC session with parameter encryption. At most one transient object is in the
/// TPM between calls, none before a Create or Load, and none once the last PrivateKey is gone.
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
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace devid
