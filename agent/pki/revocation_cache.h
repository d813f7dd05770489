#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "agent/pki/revocation_statement.h"
#include "base/bytes.h"
#include "base/clock.h"

namespace devid::pki {

/// How much a cache may hold. One CRL of the longest kind fits, with what else a device asks for.
struct CacheLimits {
  std::size_t entries = 64;
  std::size_t bytes = std::size_t{8} << 20U;
};

/// OCSP responses and CRLs that are still good, as they came, each under a key and with its end; and which certificates
/// were revoked. Either in memory, or in a directory, across restarts: then nothing is held in memory. Whoever takes
/// out what could make devid trust verifies it again, so a damaged file is a miss and no more. What cannot be written
/// is not kept, which costs a question and nothing else: so there are no errors here. The oldest goes when there is no
/// room. Not thread-safe.
class RevocationCache {
 public:
  explicit RevocationCache(CacheLimits limits = {});
  /// The directory is made when it is first needed, mode 0700. Files in it that are not the cache's are left alone.
  explicit RevocationCache(std::filesystem::path directory, CacheLimits limits = {});

  /// What was kept under a key. Nothing from its end on, and nothing that would be good for longer than `longest`: the
  /// clock was wrong then, or is now.
  std::optional<Bytes> find(std::string_view key, Time now, Seconds longest = longest_statement);
  /// Keeps it until `until`, in place of what was there. `key` is one line.
  void keep(std::string_view key, BytesView content, Time until, Time now, Seconds longest = longest_statement);
  void drop(std::string_view key);

 private:
  struct Held {
    std::string file;
    std::uint64_t order = 0;
  };
  /// One of the entries, for the choice of what goes.
  struct Listed {
    std::string name;
    std::size_t size = 0;
    std::int64_t age = 0;  ///< larger is younger
  };

  std::optional<std::string> read(const std::string& name) const;
  void write(const std::string& name, std::string file);
  void remove(const std::string& name);
  [[nodiscard]] std::vector<Listed> list() const;
  void make_room(std::size_t bytes);

  std::filesystem::path directory_;  ///< empty: in memory
  CacheLimits limits_;
  std::map<std::string, Held> held_;  ///< in memory, by name
  std::uint64_t written_ = 0;
};

}  // namespace devid::pki
