#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secret.h"

namespace devid::pkcs11 {

/// Which PIN a token refused, the last one for each serial number. It outlives the process, so that no restart burns
/// the token's counter: a salted scrypt of each, in a file of mode 0600. What was refused under another configuration
/// does not count.
class RefusedPins {
 public:
  /// `name` is that of the token in the configuration, `configuration` is what else is said of it. Touches no file yet.
  RefusedPins(const std::filesystem::path& directory, std::string_view name, std::string_view configuration = {});

  [[nodiscard]] const std::filesystem::path& file() const { return file_; }

  /// Whether it is this PIN that was refused. Error: state_corrupt or storage_failed if that cannot be told.
  [[nodiscard]] Result<bool> contains(const std::string& serial, const Secret& pin) const;
  /// Whether any PIN was refused, as far as that can be told.
  [[nodiscard]] bool knows(const std::string& serial) const;
  /// Holds in this process at once, also if the file cannot be written: storage_failed.
  Result<> add(const std::string& serial, const Secret& pin);
  /// The token took a PIN.
  Result<> remove(const std::string& serial);

 private:
  struct Hash {
    Bytes salt;
    Bytes value;
  };
  using Hashes = std::map<std::string, Hash>;  ///< by serial number
  [[nodiscard]] Result<Hashes> read() const;
  [[nodiscard]] Result<> write(const Hashes& hashes) const;
  [[nodiscard]] Result<Bytes> hash_of(const Secret& pin, BytesView salt) const;
  [[nodiscard]] Result<bool> is_of(const Hash& hash, const Secret& pin) const;

  std::filesystem::path directory_;
  std::filesystem::path file_;
  std::string configuration_;
  Hashes unsaved_;  ///< what could not be written
};

}  // namespace devid::pkcs11
