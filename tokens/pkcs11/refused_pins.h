#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/secret.h"

namespace devid::pkcs11 {

/// Which PINs a token refused, the last one for each name that it has in the configuration: a token that has two names,
/// or is reached by two modules, has one counter. What was refused under this name, but with another configuration,
/// does not count. It outlives the process, so that no restart burns the counter: a salted scrypt of each PIN, in a
/// file of mode 0600. A token is told by Slot::identity().
class RefusedPins {
 public:
  /// `name` is that of the token in the configuration, `configuration` is what else is said of it. The file is that of
  /// all tokens. Touches no file yet.
  RefusedPins(const std::filesystem::path& directory, std::string_view name, std::string_view configuration = {});

  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

  /// Whether the token refused this PIN, under whatever name. Error: state_corrupt or storage_failed if that cannot be
  /// told.
  [[nodiscard]] Result<bool> contains(const std::string& token, const Secret& pin) const;
  /// Whether it refused any PIN, as far as that can be told.
  [[nodiscard]] bool knows(const std::string& token) const;
  /// Writes the file as it is, for a PIN is to be tried only if add() will be able to. Error: storage_failed.
  [[nodiscard]] Result<> make_ready() const;
  /// Holds in this process at once, also if the file cannot be written: storage_failed.
  Result<> add(const std::string& token, const Secret& pin);
  /// The token took a PIN under this name.
  Result<> remove(const std::string& token);

 private:
  struct Hash {
    Bytes configuration;  ///< SHA-256
    Bytes salt;
    Bytes value;
  };
  using Hashes = std::map<std::pair<std::string, Bytes>, Hash>;  ///< by token, and SHA-256 of the name
  [[nodiscard]] Result<Hashes> read() const;
  [[nodiscard]] Result<> write(const Hashes& hashes) const;
  /// Whether one of these says that the PIN was refused.
  [[nodiscard]] Result<bool> tell(const Hashes& hashes, const std::string& token, const Secret& pin) const;

  std::filesystem::path directory_;
  std::filesystem::path file_;
  Bytes name_;           ///< SHA-256: names that are URIs may be long
  Bytes configuration_;  ///< the same
  Hashes unsaved_;       ///< what could not be written
};

}  // namespace devid::pkcs11
