#pragma once

#include <optional>
#include <variant>

#include "agent/pki/certificate.h"
#include "base/result.h"
#include "base/secret.h"
#include "tokens/key.h"

namespace devid::pki {

/// A private key that a server made: RFC 7030 4.4.
struct ServerKey {
  Secret pkcs8;  ///< DER PrivateKeyInfo (RFC 5958)
  PublicKey public_key;
};

/// A key that server and device share, to decrypt with (RFC 7030 4.4.1.1).
struct SymmetricDecryptionKey {
  Bytes identifier;  ///< of the DecryptKeyIdentifier attribute, and of the KEKRecipientInfo
  Secret key;        ///< 16, 24 or 32 octets: AES key wrap
};
/// A key pair of the device's to decrypt with (RFC 7030 4.4.1.2).
struct AsymmetricDecryptionKey {
  Bytes identifier;  ///< of the AsymmetricDecryptKeyIdentifier attribute
  std::optional<Certificate> certificate;
  Secret pkcs8;  ///< PEM or DER
};
using DecryptionKey = std::variant<std::monostate, SymmetricDecryptionKey, AsymmetricDecryptionKey>;

/// Reads the key part of a serverkeygen answer, decoded from base64: with media type application/pkcs8 a
/// PrivateKeyInfo, with application/pkcs7-mime a CMS EnvelopedData around a SignedData around an AsymmetricKeyPackage
/// (RFC 5958), or around a PrivateKeyInfo, as servers do it too. A plain key where a decryption key was agreed on is
/// refused: somebody may have taken the encryption away. Every copy is wiped. Errors: answer_malformed;
/// token_unsupported for a kind of key that devid does not know; server_protocol for a plain or encrypted key where the
/// other was agreed on.
Result<ServerKey> read_plain_key(BytesView der);
Result<ServerKey> read_enveloped_key(BytesView der, const DecryptionKey& decryption);

}  // namespace devid::pki
