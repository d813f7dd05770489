#pragma once

#include <filesystem>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::identity {

/// Reads a file of trust anchors, PEM, at least one. Errors: config_missing, config_invalid.
Result<std::vector<pki::Certificate>> read_anchors(const std::filesystem::path& file);

}  // namespace devid::identity
