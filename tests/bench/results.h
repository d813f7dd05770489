#pragma once

#include <filesystem>
#include <map>
#include <string>

namespace devid::test {

/// Adds numbers to a file of JSON, one object, in place of those of the same names; other benches keep theirs there.
/// False, with a message on the standard error, if that cannot be done.
bool add_results(const std::filesystem::path& file, const std::map<std::string, double>& numbers);

}  // namespace devid::test
