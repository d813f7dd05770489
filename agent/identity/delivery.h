#pragma once

#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>

#include "agent/identity/job.h"
#include "base/result.h"

namespace devid::identity {

/// [files]: for whom a generation's files are. What is not set stays as it is without: everybody reads the public ones,
/// devid alone the key's.
struct FileSettings {
  std::string owner;  ///< of the public files; devidd needs CAP_CHOWN for that
  std::string group;  ///< of the public files; devidd has to be in it
  std::optional<mode_t> mode;
  std::string key_group;  ///< of token-key.pem, whose owner is always devid
  std::optional<mode_t> key_mode;
  bool operator==(const FileSettings&) const = default;
};

/// [copies]: where copies of the current generation's public files are wanted, for software that cannot follow
/// `current`. Never of a key. Each may be empty.
struct Copies {
  std::filesystem::path certificate;
  std::filesystem::path chain;
  std::filesystem::path certificate_chain;
  std::filesystem::path trust_anchors;
  bool operator==(const Copies&) const = default;
};

/// Gives the files of a generation's directory to those for whom they are. What cannot be given stays as it was. Error:
/// config_invalid (there is no such user or group), storage_failed.
Result<> set_attributes(const std::filesystem::path& generation, const FileSettings& settings);

/// Makes each copy be what it is a copy of, atomically; one that is so already is not touched. A symbolic link in its
/// place is replaced and not followed. Its directory has to exist, to belong to root or devid, and to be no symbolic
/// link and not writable for everybody; it is not below `state`. Goes on after an error, and returns the first:
/// config_invalid, storage_failed.
Result<> write_copies(const std::filesystem::path& current, const Copies& copies, const FileSettings& settings,
                      const std::filesystem::path& state);

/// write_copies(), and what an operator should know of it.
std::optional<Notice> trouble_with_copies(const std::filesystem::path& current, const Copies& copies,
                                          const FileSettings& settings, const std::filesystem::path& state);

}  // namespace devid::identity
