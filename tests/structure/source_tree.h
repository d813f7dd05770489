#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace devid::test {

/// Everything in a source tree that breaks the rules of docs/ARCHITECTURE.md ("Folders") and docs/HACKING.md
/// ("Style"), one sentence each: "tokens/key.h:3: …". Reads the files; asks no compiler and no git.
std::vector<std::string> broken_rules(const std::filesystem::path& root);

}  // namespace devid::test
