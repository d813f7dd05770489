#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tokens/key.h"

namespace devid::tpm {

/// The templates that IDevID keys of this kind are derived from under Endorsement, as locations "template:H-2/both",
/// the likeliest first; none for a kind that the TCG has no template for ("TPM 2.0 Keys for Device Identity and
/// Attestation" 1.00, 7.3.4). H-1 is RSA-2048 with SHA-256, H-2 P-256 with SHA-256, H-3 P-384 with SHA-384, H-4 P-521
/// with SHA-512. What follows the slash says how "IDEVID" was put into the template's field `unique`, which for EC has
/// two parts; implementations differ:
///   plain   RSA
///   both    x = y = "IDEVID"          rust-keylime
///   x       x = "IDEVID", y empty     swtpm
///   split   x = "IDE", y = "VID"      wolfTPM
std::vector<std::string> idevid_template_locations(KeyAlgorithm algorithm);

bool is_template_location(std::string_view location);

/// What TPM2_CreatePrimary is given for a location that idevid_template_locations() knows. Error: usage.
Result<TPM2B_PUBLIC> parse_idevid_template(std::string_view location);

}  // namespace devid::tpm
