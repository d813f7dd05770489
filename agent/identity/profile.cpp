#include "agent/identity/profile.h"

#include <algorithm>

namespace devid::identity {

bool is_identity_name(std::string_view name) {
  const auto starts = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  const auto continues = [&](char c) { return starts(c) || c == '-' || c == '_'; };
  return !name.empty() && name.size() <= 63 && starts(name.front()) && std::ranges::all_of(name, continues);
}

}  // namespace devid::identity
