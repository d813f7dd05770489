#pragma once

#include <optional>
#include <variant>
#include <vector>

#include "agent/pki/certificate.h"
#include "agent/pki/request_attribute.h"
#include "base/bytes.h"
#include "base/openssl.h"
#include "base/result.h"
#include "base/secret.h"

namespace devid::pki {

/// A key that server and device share, to decrypt with (RFC 7030 4.4.1.1).
struct SymmetricDecryptionKey {
  Bytes identifier;  ///< of the DecryptKeyIdentifier attribute, and of the KEKRecipientInfo
  Secret key;        ///< 16, 24 or 32 octets: AES key wrap
};
/// A key pair of the device's to decrypt with (RFC 7030 4.4.1.2).
struct AsymmetricDecryptionKey {
  Bytes identifier;                        ///< of the AsymmetricDecryptKeyIdentifier attribute
  std::optional<Certificate> certificate;  ///< by which a server may name the recipient
  Secret pkcs8;                            ///< PEM or DER, not encrypted; RSA or EC
};
/// Nothing: the key is to come as it is, protected by TLS alone.
using DecryptionKey = std::variant<std::monostate, SymmetricDecryptionKey, AsymmetricDecryptionKey>;

/// What a request for a key says about how the key is to be encrypted (RFC 7030 4.4.1): the identifier of the
/// decryption key, and as SMIMECapabilities the ways to encrypt for it, the preferred one first. Empty for no
/// decryption key. Error: config_invalid, for a key that cannot be used.
Result<std::vector<RequestAttribute>> decryption_attributes(const DecryptionKey& decryption);

/// The private key for OpenSSL. Error: config_invalid.
Result<Pkey> load(const AsymmetricDecryptionKey& decryption);

}  // namespace devid::pki
