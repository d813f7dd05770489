#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <variant>

#include "base/result.h"
#include "base/secret.h"

namespace devid {

/// A systemd credential of the service: the file $CREDENTIALS_DIRECTORY/NAME (systemd.exec(5), LoadCredential=).
struct SystemdCredential {
  std::string name;
  bool operator==(const SystemdCredential&) const = default;
};
/// A file that belongs to root or to devid's user, and that nobody else can read.
struct SecretFile {
  std::filesystem::path path;
  bool operator==(const SecretFile&) const = default;
};
/// Where a secret comes from. Never the configuration itself, argv or the environment.
using SecretSource = std::variant<SystemdCredential, SecretFile>;

/// "credential:NAME" or an absolute path. Error: config_invalid.
Result<SecretSource> parse_secret_source(std::string_view text);
/// As parse_secret_source() takes it.
std::string source_text(const SecretSource& source);

/// Reads a secret anew, without the one line break at its end; 1 to `most` bytes. Errors: config_missing if it is not
/// there, config_invalid if it is empty, too long, or a file that others may read or that belongs to somebody else.
Result<Secret> read_secret(const SecretSource& source, std::size_t most = 1024);

/// Makes the file with `secret` in it, mode 0600, whole or not at all, unless it is there already. Errors:
/// storage_failed; wrong_state if it is there.
Result<> write_new_secret(const SecretFile& file, BytesView secret);

}  // namespace devid
