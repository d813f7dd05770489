#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.h"
#include "base/secret.h"

namespace devid::test {

/// Reads a file without leaving a copy of it anywhere but in the Secret. A failure throws std::runtime_error.
Secret read_without_traces(const std::string& path);

/// Some octets out of the middle of a secret, inverted: to look for the secret without having it.
std::string trace_of(BytesView secret);

/// How often the octets that a trace stands for are in what this process may write to, but its stack, in the order of a
/// number on the wire or of one in memory; in memory that was freed, too.
std::size_t copies_in_memory(const std::string& trace);

}  // namespace devid::test
