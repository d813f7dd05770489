#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"

namespace devid::tpm {

/// KDFa of a key and a label, with contextU and no contextV (TPM 2.0 Part 1, 11.4.10.2): `size` bytes.
Result<Secret> kdf_a(TPMI_ALG_HASH hash, const Secret& key, std::string_view label, BytesView context,
                     std::size_t size);

/// KDFe of an ECDH secret and a label, with the x coordinates of both sides (TPM 2.0 Part 1, 11.4.10.3): `size` bytes.
Result<Secret> kdf_e(TPMI_ALG_HASH hash, const Secret& z, std::string_view label, BytesView party_u, BytesView party_v,
                     std::size_t size);

}  // namespace devid::tpm
