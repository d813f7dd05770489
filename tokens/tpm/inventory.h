#pragma once

#include <vector>

#include "base/result.h"
#include "tokens/token.h"
#include "tokens/tpm/connection.h"

namespace devid::tpm {

/// The persistent objects: one TPM command for up to 254 handles, then one for each, at most 1,024.
Result<std::vector<KeyListing>> list_persistent_keys(Connection& connection);

/// What is at the NV indices that the TCG gives to the certificates of IDevID and IAK, as far as they are defined:
/// 0x01C90200, 0x01C90000, and 0x01C90100 (IAK) last. One TPM command to find them, whatever else is in NV, and two to
/// four for each.
Result<std::vector<CertificateListing>> list_identity_certificates(Connection& connection);

}  // namespace devid::tpm
