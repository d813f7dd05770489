#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "agent/identity/tokens.h"

namespace devid::identity {

/// A key that nothing refers to any more: to be destroyed in its token.
struct AbandonedKey {
  std::string token;  ///< empty if what said so cannot be read
  std::string token_key_pem;
  bool operator==(const AbandonedKey&) const = default;
};

/// The keys that a token could not destroy when they became useless, in a file, so that none takes a place in the token
/// for good: abandoned-keys.json. At most 64; of more, the oldest are forgotten.
class AbandonedKeys {
 public:
  /// Reads the file. One that is damaged counts as none.
  explicit AbandonedKeys(std::filesystem::path file);

  /// Written at once. What cannot be written is known for as long as this lives.
  void add(AbandonedKey key);

  /// A key that is in use is not abandoned, whatever the file says: a disk that failed at the wrong moment may have
  /// left a request, or a copy of the file, that was given up already.
  void keep(std::string_view token_key_pem);

  /// Destroys what can be destroyed now, and forgets what no token can. A token that fails is not asked again.
  void destroy(const Tokens& tokens);

  [[nodiscard]] std::size_t size() const { return keys_.size(); }

 private:
  void write() const;

  std::filesystem::path file_;
  std::vector<AbandonedKey> keys_;
};

}  // namespace devid::identity
