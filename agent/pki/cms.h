#pragma once

#include <string>
#include <vector>

#include "agent/pki/certificate.h"

namespace devid::pki {

/// The certificates of a certs-only CMS message (RFC 5652 SignedData without signers or content; RFC
/// 7030 4.1.3, 4.2.3), in their order. CRLs are ignored. Error: answer_malformed for anything else, trailing bytes, no
/// certificate at all, or more than 64 of them.
Result<std::vector<Certificate>> read_certs_only(BytesView der);

/// What a CA offers of itself and of others.
struct OfferedCertificates {
  std::vector<Certificate> certificates;
  std::vector<std::string> remarks;  ///< one a certificate that cannot be read: which, and why. Safe to print
};

/// The same, but that one certificate that Certificate::from_der() refuses does not spoil the others.
Result<OfferedCertificates> read_ca_certificates(BytesView der);

}  // namespace devid::pki
