#pragma once

#include "agent/pki/revocation_statement.h"
#include "base/bytes.h"

namespace devid::pki {

/// The longest OCSP response that is read, in bytes. One with a few certificates has less than ten thousand.
constexpr std::size_t longest_ocsp_response = 65536;

/// An OCSPRequest (RFC 6960 4.1) for one certificate, DER. Its CertID is in SHA-1, the one digest that every responder
/// knows (RFC 5019 2.1.1); a certificate is looked up by it, nothing is proved by it. It is not signed, and without a
/// nonce: responders answer with what they have made in advance. Error: internal.
Result<Bytes> make_ocsp_request(const Certificate& subject, const Certificate& issuer);

/// Reads an OCSPResponse, DER, from a responder or stapled by a TLS server (RFC 6066 8), and verifies it: signed by the
/// issuer itself, or by a certificate that the issuer issued for OCSPSigning (RFC 6960 4.2.2.2), valid now; for the
/// certificate that is asked of, by a CertID in SHA-1 or SHA-2; current, with five minutes for clocks that differ. A
/// nonce is ignored. Whether the responder's own certificate is revoked is not asked.
/// Errors: answer_malformed; revocation_unknown for all else that is not "good" or "revoked".
Result<RevocationStatement> read_ocsp_response(BytesView der, const RevocationQuestion& question);

}  // namespace devid::pki
