#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/secret_source.h"
#include "tokens/authorization.h"
#include "tokens/key.h"

namespace devid::identity {

/// A secret that server and device share, to decrypt a key with that the server makes (RFC 7030 4.4.1.1): an AES key in
/// 32, 48 or 64 hexadecimal digits.
struct SharedSecret {
  std::string identifier;
  SecretSource key;
  bool operator==(const SharedSecret&) const = default;
};
/// A key pair for the same (RFC 7030 4.4.1.2): a private key in PEM or DER, and the certificate that the server has.
struct DecryptionKeyPair {
  std::string identifier;
  SecretSource key;
  std::filesystem::path certificate;  ///< may be empty
  bool operator==(const DecryptionKeyPair&) const = default;
};
/// The server makes the key (RFC 7030 4.4), and devid takes it into the token.
struct KeyFromServer {
  std::variant<std::monostate, SharedSecret, DecryptionKeyPair> decryption;  ///< none: TLS alone protects it
  bool operator==(const KeyFromServer&) const = default;
};

/// What kind of key an identity has, and where it is born.
struct KeySettings {
  /// That will do, the preferred one first; the server may choose among them (/csrattrs).
  std::vector<KeyAlgorithm> algorithms{all_key_algorithms().begin(), all_key_algorithms().end()};
  KeyAuthorization authorization;
  std::optional<KeyFromServer> from_server;  ///< none: it is born in the token
  bool operator==(const KeySettings&) const = default;
};

}  // namespace devid::identity
