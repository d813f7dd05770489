#pragma once

#include <vector>

#include "agent/pki/decryption.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "tokens/key.h"

namespace devid::pki {

/// A private key that a server made: RFC 7030 4.4.
struct ServerKey {
  Secret pkcs8;  ///< DER PrivateKeyInfo, version 0 and without attributes (RFC 5208): what everything reads
  PublicKey public_key;
};

/// How it comes: as application/pkcs8, or as application/pkcs7-mime (RFC 7030 4.4.2).
enum class ServerKeyForm { plain, enveloped };

/// Reads the key part of a serverkeygen answer, decoded from base64: a PrivateKeyInfo (or a
/// bare RSAPrivateKey, as libest has it), or a CMS EnvelopedData or
/// AuthEnvelopedData around a SignedData around an AsymmetricKeyPackage (RFC 5958), or around a PrivateKeyInfo, as
/// servers do it too. A plain key where a decryption key was agreed on is refused: somebody may have taken the
/// encryption away. The private half must fit the public one. The signature within an envelope must hold; whom it
/// belongs to is not asked, since the key comes over a connection to an authenticated server. Every copy is wiped.
/// Errors: answer_malformed, also for an envelope that the decryption key does not open; token_unsupported for a kind
/// of key that devid does not know; server_protocol for a plain or encrypted key where the other was agreed on.
Result<ServerKey> read_server_key(ServerKeyForm form, BytesView der, const DecryptionKey& agreed);
Result<ServerKey> read_plain_key(BytesView der);
Result<ServerKey> read_enveloped_key(BytesView der, const DecryptionKey& decryption);

}  // namespace devid::pki
