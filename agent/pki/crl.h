#pragma once

#include "agent/pki/revocation_statement.h"
#include "base/bytes.h"

namespace devid::pki {

/// The longest CRL that is read, in bytes: some 100,000 revoked certificates. Reading one takes about three times its
/// size in memory, because its entries are looked at one by one and never all kept.
constexpr std::size_t longest_crl = std::size_t{4} << 20U;

/// Looks a certificate up in a CRL (RFC 5280 5, 6.3.3), DER or PEM. It has to be by the certificate's issuer, whose key
/// may sign CRLs, current, and complete for this certificate: what its issuingDistributionPoint leaves out (CAs, or all
/// but CAs; some reasons; other distribution points than those that the certificate names) it does not speak of.
/// Indirect and delta CRLs are not used, nor those with critical extensions that devid does not know, whether of the
/// list or of any entry. Errors: answer_malformed; revocation_unknown for a CRL that does not speak of the certificate.
Result<RevocationStatement> read_crl(BytesView der_or_pem, const RevocationQuestion& question);

}  // namespace devid::pki
