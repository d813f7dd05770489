#pragma once

#include <chrono>
#include <filesystem>

#include "base/result.h"

namespace devid::pkcs11 {

/// How long a module may take to start and to end in the probe.
constexpr std::chrono::seconds probe_time{10};

/// Loads a module in a process of its own, by the program `probe`, so that one that crashes or hangs ends that. What
/// went well is remembered for as long as the process lives and the file is the same; what failed is tried again, for
/// the cause may be outside of the module. Error: token_module, with how it ended as the reason.
Result<> probe_module(const std::filesystem::path& probe, const std::filesystem::path& module,
                      std::chrono::milliseconds limit = probe_time);

}  // namespace devid::pkcs11
