#pragma once

#include <vector>

#include "base/result.h"
#include "tokens/pkcs11/session.h"
#include "tokens/token.h"

namespace devid::pkcs11 {

/// The content of the certificate that a name means, at most 16 KiB. Errors: idevid_missing, token_ambiguous.
Result<Bytes> read_certificate(Session& session, const ObjectName& name);

/// The X.509 certificates of end entities, without those that devid wrote; at most 64.
Result<std::vector<CertificateListing>> list_certificates(Session& session);

/// Writes a certificate (DER) beside the key of this name, in place of those that devid wrote there before.
/// Errors: token_no_such_key, token_wrong_key if devid did not make the key, usage if it is no certificate.
Result<> store_certificate(Session& session, const ObjectName& key, BytesView certificate);

}  // namespace devid::pkcs11
