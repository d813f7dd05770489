#pragma once

#include <filesystem>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::identity {

/// Reads trust anchors: of a file, PEM or DER, or of every file NAME.pem, NAME.crt and NAME.cer of a directory, in the
/// order of their names. At least one, at most 64. Errors: config_missing, config_invalid.
Result<std::vector<pki::Certificate>> read_anchors(const std::filesystem::path& place);

}  // namespace devid::identity
