#pragma once

#include <vector>

#include "agent/pki/certificate.h"

namespace devid::pki {

/// The certificates of a certs-only CMS message (RFC 5652 SignedData without signers or content; RFC
/// 7030 4.1.3, 4.2.3), in their order. CRLs are ignored. Error: answer_malformed for anything else, trailing bytes, no
/// certificate at all, or more than 64 of them.
Result<std::vector<Certificate>> read_certs_only(BytesView der);

}  // namespace devid::pki
