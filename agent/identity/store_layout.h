#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace devid::identity {

/// What there is one of at most, with the names that it has before it is whole and while it goes.
struct StoreSlot {
  std::filesystem::path path;
  std::filesystem::path unfinished;
  std::filesystem::path discarded;
};

/// What is in the directory of generations.
struct StoreContents {
  std::set<std::uint64_t> generations;
  std::vector<std::filesystem::path> damaged;     ///< what generations became that were current and cannot be read
  std::vector<std::filesystem::path> unfinished;  ///< what was being written, or removed
  std::uint64_t highest = 0;                      ///< of all numbers seen, those of damaged generations too
};

/// Where a Store has what below its directory: names and numbers.
class StoreLayout {
 public:
  explicit StoreLayout(std::filesystem::path directory) : directory_(std::move(directory)) {}

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_; }
  [[nodiscard]] std::filesystem::path generations() const { return directory_ / "generation"; }
  [[nodiscard]] std::filesystem::path generation(std::uint64_t number) const;
  [[nodiscard]] std::filesystem::path unfinished(std::uint64_t number) const;
  [[nodiscard]] std::filesystem::path retired(std::uint64_t number) const;
  [[nodiscard]] std::filesystem::path damaged(std::uint64_t number) const;
  [[nodiscard]] std::filesystem::path current() const { return directory_ / "current"; }
  [[nodiscard]] std::filesystem::path rolled_back() const { return directory_ / "rolled-back.json"; }
  /// Where all generations are while an identity is forgotten.
  [[nodiscard]] std::filesystem::path forgotten() const { return directory_ / ".forgotten"; }
  [[nodiscard]] StoreSlot request() const { return slot("request"); }
  [[nodiscard]] StoreSlot candidate() const { return slot("candidate"); }

  /// What `current` holds when it names a generation.
  static std::filesystem::path link_target(std::uint64_t number);

  /// The number that `current` names; none if there is no `current`. Errors: state_corrupt if it is something else,
  /// storage_failed.
  [[nodiscard]] Result<std::optional<std::uint64_t>> current_number() const;
  /// Error: storage_failed.
  [[nodiscard]] Result<StoreContents> contents() const;

 private:
  [[nodiscard]] StoreSlot slot(const std::string& name) const;
  std::filesystem::path directory_;
};

bool is_there(const std::filesystem::path& path);

/// The key in a directory that may be half written, as text; empty if there is none. Error: storage_failed, if there
/// may be one that cannot be read for now.
Result<std::string> key_pem_in(const std::filesystem::path& directory);

}  // namespace devid::identity
