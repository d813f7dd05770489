#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "base/secret_source.h"
#include "tokens/token.h"

namespace devid {

/// Which PKCS#11 token, and under which name profiles know it.
struct Pkcs11Spec {
  std::string name;
  /// RFC 7512: which token ("pkcs11:token=dev;serial=0001"), and, where the next two do not say it, module-path and
  /// pin-source. It must mean exactly one token. A pin-value is refused: configuration is no place for it.
  std::string uri;
  std::filesystem::path module;     ///< the shared object; empty: the URI's module-path
  std::optional<SecretSource> pin;  ///< of the user; none: the URI's pin-source
  bool store_certificates = false;  ///< store_certificate() writes
  /// The program that loads a module for the first time, in a process of its own: a module that crashes ends that.
  std::filesystem::path probe;
  /// Where the token remembers which PIN was wrong, so that no restart tries it again (a PIN counter is not to be
  /// burnt) until it or what is said above changes: a salted hash, mode 0600. The directory is made when it is needed.
  std::filesystem::path state_directory;
};

/// A token behind a PKCS#11 module (v2.40): an HSM. Keys are made in it as token objects that are sensitive, private
/// and not extractable, which is read back; token-key.pem names them by URI.
///
/// The module is loaded when it is first needed. Sessions that die, a token that was away and a module that was
/// finalized by a fork are found and made anew, with one login. A wrong PIN is tried once.
class Pkcs11Token final : public Token {
 public:
  explicit Pkcs11Token(Pkcs11Spec spec);
  Pkcs11Token(const Pkcs11Token&) = delete;
  Pkcs11Token& operator=(const Pkcs11Token&) = delete;
  Pkcs11Token(Pkcs11Token&&) = delete;
  Pkcs11Token& operator=(Pkcs11Token&&) = delete;
  ~Pkcs11Token() override;

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
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace devid
