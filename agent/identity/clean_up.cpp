#include "agent/identity/clean_up.h"

#include <algorithm>
#include <optional>
#include <ranges>
#include <set>
#include <system_error>
#include <utility>

#include "agent/identity/generation.h"
#include "agent/identity/request.h"
#include "agent/identity/rolled_back.h"
#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t meta_limit = 64UL * 1024;
constexpr mode_t for_all = 0755;

/// One run of clean_up().
class Cleaning {
 public:
  Cleaning(const StoreLayout& layout, const OnAbandoned& on_abandoned) : layout_(layout), on_abandoned_(on_abandoned) {}

  Result<CleanUp> run() {
    auto contents = layout_.contents();
    if (!contents) return fail(std::move(contents.error()));
    contents_ = std::move(*contents);
    const auto rolled_back = read_rolled_back(layout_.rolled_back());
    if (!rolled_back) return fail(rolled_back.error());
    for (const auto& [generation, at] : *rolled_back) rolled_back_.insert(generation);
    if (auto done = choose_current(); !done) return fail(std::move(done.error()));
    if (auto done = remove_unfinished(); !done) return fail(std::move(done.error()));
    if (auto done = remove_unusable_candidate(); !done) return fail(std::move(done.error()));
    if (auto done = remove_unusable_request(); !done) return fail(std::move(done.error()));
    drop_keys_in_use();
    return std::move(done_);
  }

 private:
  /// The newest usable generation up to this one, 0 if there is none. One that an operator went back from is the last
  /// resort, unless `current` names it.
  [[nodiscard]] Result<std::uint64_t> newest_usable(std::uint64_t newest, std::optional<std::uint64_t> named) const {
    std::uint64_t second_best = 0;
    for (const std::uint64_t number : contents_.generations | std::views::reverse) {
      if (number > newest) continue;
      const auto generation = read_generation(layout_.generation(number));
      if (!generation && generation.error().code != Errc::state_corrupt) return fail(generation.error());
      if (generation && (number == named || !rolled_back_.contains(number))) return number;
      if (generation && second_best == 0) second_best = number;
    }
    return second_best;
  }

  /// Keeps `current` if it is usable, and points it to the newest usable generation before it otherwise. Generations
  /// after it never became current, but for those that an operator went back from.
  Result<> choose_current() {
    const auto named = layout_.current_number();
    if (!named && named.error().code != Errc::state_corrupt) return fail(named.error());
    const std::uint64_t newest = named ? named->value_or(contents_.highest) : contents_.highest;
    const auto chosen = newest_usable(newest, named.value_or(std::nullopt));
    if (!chosen) return fail(chosen.error());
    const bool stays = named && named->value_or(0) == *chosen;
    if (!stays)
      if (auto pointed = point_to(*chosen); !pointed) return pointed;
    // Where there was no `current`, the first generation was written and the power failed before it was named.
    done_.fell_back = !stays && (!named || named->has_value());
    if (newest > *chosen) contents_.generations.insert(newest);
    const auto present = contents_.generations;
    for (const std::uint64_t number : present) {
      if (number <= *chosen || (rolled_back_.contains(number) && number != newest)) continue;
      auto removed = number > newest ? remove(layout_.generation(number)) : set_aside(number);
      if (!removed) return removed;
      if (number > newest) contents_.generations.erase(number);
    }
    return {};
  }

  Result<> point_to(std::uint64_t number) {
    const fs::path link = layout_.current();
    std::error_code ignored;
    const bool in_the_way = is_there(link) && !fs::is_symlink(fs::symlink_status(link, ignored));
    if (in_the_way || number == 0)
      if (auto removed = devid::remove_all(link); !removed) return removed;
    return number == 0 ? Result<>{} : replace_symlink(link, StoreLayout::link_target(number));
  }

  /// Keeps what is left of a generation that was current once, for whoever looks into it, and its number from being
  /// given again.
  Result<> set_aside(std::uint64_t number) {
    const fs::path from = layout_.generation(number);
    const fs::path to = layout_.damaged(number);
    if (auto removed = devid::remove_all(to); !removed) return removed;
    std::error_code ignored;
    if (fs::is_directory(fs::symlink_status(from, ignored))) return rename_directory(from, to);
    if (auto made = make_directories(to, for_all); !made) return made;
    return devid::remove_all(from);
  }

  Result<> remove(const fs::path& directory) {
    if (AbandonedKey key = key_in(directory); !key.token_key_pem.empty()) {
      if (on_abandoned_) on_abandoned_(key);
      done_.abandoned_keys.push_back(std::move(key));
    }
    return devid::remove_all(directory);
  }

  Result<> remove_unfinished() {
    for (const fs::path& path : contents_.unfinished)
      if (auto removed = remove(path); !removed) return removed;
    for (const StoreSlot& slot : {layout_.request(), layout_.candidate()}) {
      if (auto removed = remove(slot.unfinished); !removed) return removed;
      if (auto removed = devid::remove_all(slot.discarded); !removed) return removed;  // its key is gone already
    }
    // The keys of what was being forgotten are listed.
    if (auto removed = devid::remove_all(layout_.forgotten()); !removed) return removed;
    return devid::remove_all(layout_.directory() / ".current.new");
  }

  /// One that cannot be read, and one that has become a generation.
  Result<> remove_unusable_candidate() {
    const fs::path path = layout_.candidate().path;
    if (!is_there(path)) return {};
    const auto candidate = read_generation(path);
    if (!candidate) return candidate.error().code == Errc::state_corrupt ? remove(path) : fail(candidate.error());
    const bool is_installed = std::ranges::any_of(contents_.generations, [&](std::uint64_t number) {
      const auto generation = read_generation(layout_.generation(number));
      return generation && generation->leaf == candidate->leaf;
    });
    return is_installed ? remove(path) : Result<>();
  }

  Result<> remove_unusable_request() {
    const fs::path path = layout_.request().path;
    if (!is_there(path)) return {};
    const auto request = read_request(path);
    return request && !is_granted(*request) ? Result<>() : remove(path);
  }

  /// Whether there is a certificate already that this request was for: one for the same key that counts as many.
  [[nodiscard]] bool is_granted(const Request& request) const {
    const auto grants = [&](const fs::path& directory) {
      const auto generation = read_generation(directory);
      return generation && generation->token_key_pem == request.token_key_pem &&
             generation->provenance.certificates >= request.provenance.certificates;
    };
    return grants(layout_.candidate().path) || std::ranges::any_of(contents_.generations, [&](std::uint64_t number) {
             return grants(layout_.generation(number));
           });
  }

  /// A key may have been removed in one place and be kept in another: a request becomes a generation by being copied.
  void drop_keys_in_use() {
    if (done_.abandoned_keys.empty()) return;
    std::set<std::string> used;
    for (const std::uint64_t number : contents_.generations)
      used.insert(key_pem_in(layout_.generation(number)).value_or(""));
    for (const StoreSlot& slot : {layout_.request(), layout_.candidate()})
      used.insert(key_pem_in(slot.path).value_or(""));
    std::erase_if(done_.abandoned_keys,
                  [&](const AbandonedKey& key) { return !used.insert(key.token_key_pem).second; });
  }

  const StoreLayout& layout_;
  const OnAbandoned& on_abandoned_;
  StoreContents contents_;
  std::set<std::uint64_t> rolled_back_;
  CleanUp done_;
};

}  // namespace

AbandonedKey key_in(const fs::path& directory) {
  AbandonedKey key{.token = {}, .token_key_pem = key_pem_in(directory).value_or("")};
  if (auto json = read_file(directory / "meta.json", meta_limit))
    if (auto provenance = parse_provenance(*json)) key.token = std::move(provenance->token);
  return key;
}

Result<CleanUp> clean_up(const StoreLayout& layout, const OnAbandoned& on_abandoned) {
  return Cleaning(layout, on_abandoned).run();
}

Error damaged() {
  return {.code = Errc::state_corrupt,
          .retry = Retry::later,
          .what = "the newest generation was damaged; devid went back to the newest good one, where there is one",
          .hint = "look into the directory whose name ends in .damaged; check the disk"};
}

}  // namespace devid::identity
