#pragma once

#include "agent/pki/csr_wishes.h"

namespace devid::pki {

/// Reads a CertificationRequestInfoTemplate (RFC 9908 3.4), DER. Error: answer_malformed.
Result<> read_csr_template(BytesView der, CsrWishes& wishes);

}  // namespace devid::pki
