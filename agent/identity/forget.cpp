#include "agent/identity/forget.h"

#include <system_error>
#include <utility>
#include <vector>

#include "agent/identity/abandoned_keys.h"
#include "agent/identity/clean_up.h"
#include "agent/identity/store_layout.h"
#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

Error unreadable(const fs::path& directory, const std::error_code& error) {
  return {.code = Errc::storage_failed,
          .retry = Retry::later,
          .what = "cannot look into " + directory.string(),
          .reason = error.message()};
}

Result<std::vector<fs::path>> entries_of(const fs::path& directory) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator each(directory, error), end; !error && each != end; each.increment(error))
    entries.push_back(each->path());
  if (error) return fail(unreadable(directory, error));
  return entries;
}

/// Whatever has a key: whole, half written, damaged.
Result<std::vector<AbandonedKey>> keys_below(const fs::path& directory) {
  std::vector<AbandonedKey> keys;
  std::error_code error;
  for (fs::recursive_directory_iterator each(directory, error), end; !error && each != end; each.increment(error)) {
    if (each->path().filename() != "token-key.pem") continue;
    if (AbandonedKey key = key_in(each->path().parent_path()); !key.token_key_pem.empty())
      keys.push_back(std::move(key));
  }
  if (error) return fail(unreadable(directory, error));
  return keys;
}

/// What may become a generation goes first, then the name of the current one, then all of them at once.
Result<> remove_credentials(const StoreLayout& layout) {
  for (const StoreSlot& slot : {layout.request(), layout.candidate()}) {
    if (auto removed = devid::remove_all(slot.discarded); !removed) return removed;
    if (!is_there(slot.path)) continue;
    if (auto renamed = rename_directory(slot.path, slot.discarded); !renamed) return renamed;
  }
  if (auto removed = devid::remove_all(layout.forgotten()); !removed) return removed;
  if (auto removed = devid::remove_all(layout.current()); !removed) return removed;
  return is_there(layout.generations()) ? rename_directory(layout.generations(), layout.forgotten()) : Result<>();
}

}  // namespace

Result<Forgotten> forget(const fs::path& directory, const Tokens& tokens) {
  const StoreLayout layout(directory);
  const fs::path list = directory / "abandoned-keys.json";
  AbandonedKeys abandoned(list);
  auto keys = keys_below(directory);
  if (!keys) return fail(std::move(keys.error()));
  for (AbandonedKey& key : *keys) abandoned.add(std::move(key));
  const std::size_t all = abandoned.size();
  if (auto removed = remove_credentials(layout); !removed) return fail(std::move(removed.error()));
  const auto entries = entries_of(directory);
  if (!entries) return fail(entries.error());
  for (const fs::path& entry : *entries)
    if (entry != list)
      if (auto removed = devid::remove_all(entry); !removed) return fail(std::move(removed.error()));
  abandoned.destroy(tokens);
  Forgotten forgotten{.keys_destroyed = all - abandoned.size(), .keys_left = abandoned.size()};
  if (forgotten.keys_left == 0)
    if (auto removed = devid::remove_all(directory); !removed) return fail(std::move(removed.error()));
  return forgotten;
}

}  // namespace devid::identity
