#pragma once

#include <array>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/openssl.h"
#include "tokens/token.h"

namespace devid::test {

enum class Operation {
  create_key,
  import_key,
  open_key,
  open_key_at,
  read_certificate,
  destroy_key,
  list_keys,
  list_certificates,
  store_certificate,
  inspect,
  sign
};

/// What a fake token keeps when the process that uses it ends: keys in memory, certificates from the factory, the one
/// failure knob, and counters. Several FakeTokens, one after the other, may share it. Not thread-safe.
class FakeHardware {
 public:
  FakeHardware();

  /// Puts a key there as the factory would, in place of what was at that location. Locations are "fake:NAME", or
  /// as real tokens have them: "handle:…", "nv:…", "template:…", "pkcs11:…".
  PublicKey put_key(const std::string& location, KeyAlgorithm algorithm);
  /// Makes list_keys() show a key that nobody can sign with, and why.
  void put_unusable_key(const std::string& location, Error why);
  /// Makes list_keys() say that a key is another one than it is.
  void lie_about_key(const std::string& location, PublicKey public_key);
  void remove_key(const std::string& location);
  void remove_certificate(const std::string& location);
  /// What read_certificate will return for that location.
  void put_certificate(const std::string& location, Bytes certificate);

  /// Makes derivable_keys() name a location, at which put_key() put a key that list_keys() does not show then.
  void make_derivable(const std::string& location);
  /// What store_certificate() wrote for a key, by its PEM; empty if nothing.
  [[nodiscard]] Bytes stored_certificate(std::string_view pem) const;

  /// From now on create_key() and import_key() take any authorization, and do nothing about it.
  void know_authorizations() { knows_authorizations_ = true; }
  /// What create_key() or import_key() was asked for last.
  [[nodiscard]] const KeySpec& last_spec() const { return last_spec_; }

  /// From now on every operation fails and changes nothing.
  void fail_all(Error error);
  /// The nth operation from now fails and changes nothing, 1 is the next; those around it work.
  void fail_nth(unsigned nth, Error error);
  /// From now on every operation of this kind fails and changes nothing.
  void fail_each(Operation operation, Error error);
  /// Forgets what fail_all, fail_nth and fail_each said.
  void recover();

  /// Keeps the keys that it makes as files in a directory, too, and takes those that are there for its own, in place of
  /// what it had: as if the process had died. Each file is there as a whole or not at all.
  void keep_in(const std::filesystem::path& directory);
  /// What pem() of every key that is there says.
  [[nodiscard]] std::set<std::string> pems() const;

  /// How many operations were asked for, failed ones among them.
  [[nodiscard]] unsigned count(Operation operation) const;
  [[nodiscard]] unsigned operations() const;
  /// How many keys are there that create_key or import_key made: shows what was left behind.
  [[nodiscard]] std::size_t made_keys() const { return made_.size(); }
  [[nodiscard]] std::size_t factory_keys() const { return factory_.size(); }

 private:
  friend class FakeToken;
  friend class FakeKey;
  struct StoredKey {
    Pkey key;
    PublicKey public_key;
  };
  using Keys = std::map<std::string, StoredKey, std::less<>>;

  /// Counts an operation, and lets it fail if the knob says so.
  Result<> begin(Operation operation);

  std::string serial_;
  unsigned next_number_ = 1;
  void write_key(const std::string& id, EVP_PKEY* key) const;
  void remove_key_file(const std::string& id) const;
  [[nodiscard]] std::filesystem::path file_of(const std::string& id) const;

  std::filesystem::path directory_;  ///< of keep_in(); empty: none
  Keys made_;                        ///< by what the PEM holds
  Keys factory_;                     ///< by location
  std::map<std::string, Bytes, std::less<>> certificates_;
  std::array<unsigned, 11> counts_{};
  std::set<std::string, std::less<>> derivable_;                   ///< locations
  std::map<std::string, Bytes, std::less<>> stored_certificates_;  ///< by what the PEM holds
  std::map<std::string, Error, std::less<>> unusable_;             ///< by location
  std::map<std::string, PublicKey, std::less<>> lies_;             ///< by location
  bool knows_authorizations_ = false;
  KeySpec last_spec_;
  std::map<Operation, Error> failing_;
  std::optional<Error> failure_;
  unsigned fails_in_ = 0;  ///< operations until the failure; 0: all of them
};

/// A Token in memory. pem() holds an identifier and nothing else ("-----BEGIN FAKE TOKEN KEY-----").
class FakeToken final : public Token {
 public:
  explicit FakeToken(FakeHardware& hardware, std::string name = "fake", std::string kind = "fake");

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
  Result<> accept(const KeySpec& spec);
  std::unique_ptr<PrivateKey> keep(Pkey key, PublicKey public_key);

  FakeHardware& hardware_;
  std::string name_;
  std::string kind_;
};

}  // namespace devid::test
