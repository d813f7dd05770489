#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

#include "agent/identity/discovery.h"
#include "base/result.h"

namespace devid::identity {

/// What a search for the IDevID found, for the next job: the content of idevid.json. Nothing is lost with it: devid
/// looks again.
struct IdevidMemory {
  std::string wanted;  ///< wanted_text() of the search
  IdevidPlace place;
  std::string fingerprint;  ///< of the certificate: Certificate::fingerprint()
  bool operator==(const IdevidMemory&) const = default;
};

/// All that a search depends on, besides what is in the tokens: what it found counts only for the same text.
std::string wanted_text(const Search& search);

/// The JSON text of idevid.json, version 1.
std::string to_json(const IdevidMemory& memory);
/// The other way. Whatever is not exactly as to_json() writes it is none.
std::optional<IdevidMemory> parse_idevid_memory(std::string_view text);

/// None if there is no such file, or it cannot be used.
std::optional<IdevidMemory> read_idevid_memory(const std::filesystem::path& file);
/// Error: storage_failed.
Result<> write_idevid_memory(const std::filesystem::path& file, const IdevidMemory& memory);

}  // namespace devid::identity
