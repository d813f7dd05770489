#pragma once

#include "agent/pki/decryption.h"
#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace devid::pki {

/// What is in a CMS EnvelopedData (RFC 5652 6) or AuthEnvelopedData (RFC 5083), DER or BER, 64 KiB at most, that is
/// encrypted for this key; without the SignedData around it, if there is one, whose signatures are checked by the
/// certificates that it carries. The content must be id-data or an AsymmetricKeyPackage. No other layer is taken off.
/// Every copy is wiped. Errors: answer_malformed; config_invalid for a decryption key that cannot be used.
Result<Secret> open_envelope(BytesView der, const DecryptionKey& decryption);

}  // namespace devid::pki
