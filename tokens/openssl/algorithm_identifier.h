#pragma once

#include "base/result.h"
#include "tokens/key.h"

namespace devid::provider {

/// The DER AlgorithmIdentifier of a signature: RFC 5758 3.2 for ECDSA, RFC 4055 5 for PKCS#1 v1.5 and 3.1 for PSS.
Result<Bytes> algorithm_identifier(SignatureScheme scheme);

}  // namespace devid::provider
