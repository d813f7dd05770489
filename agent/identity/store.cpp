#include "agent/identity/store.h"

#include <algorithm>
#include <charconv>
#include <ranges>
#include <set>
#include <string_view>
#include <system_error>
#include <utility>

#include "agent/identity/stored_file.h"
#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr mode_t for_all = 0755;
constexpr mode_t for_devid = 0700;
constexpr std::size_t key_limit = 64UL * 1024;
constexpr std::uint64_t highest_number = 1'000'000'000;

constexpr const char* generations = "generation";
constexpr const char* current_link = "current";
constexpr const char* request_directory = "request";
constexpr const char* unfinished_request = ".request.new";
constexpr const char* discarded_request = ".request.old";
constexpr std::string_view damaged_suffix = ".damaged";

Error not_looked_at(const fs::path& path, const std::error_code& error) {
  return {.code = Errc::storage_failed,
          .retry = Retry::later,
          .what = "cannot look at " + path.string(),
          .reason = error.message()};
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

/// A generation's number as this store writes it; none for any other text.
std::optional<std::uint64_t> number_from(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number == 0 || number > highest_number || std::to_string(number) != text)
    return std::nullopt;
  return number;
}

fs::path generation_path(const fs::path& directory, std::uint64_t number) {
  return directory / generations / std::to_string(number);
}

fs::path unfinished_path(const fs::path& directory, std::uint64_t number) {
  return directory / generations / ("." + std::to_string(number) + ".new");
}

fs::path link_target(std::uint64_t number) { return fs::path(generations) / std::to_string(number); }

/// The number that `current` names; none if there is no `current`; an error if it is something else.
Result<std::optional<std::uint64_t>> current_number(const fs::path& directory) {
  const fs::path link = directory / current_link;
  std::error_code error;
  const auto status = fs::symlink_status(link, error);
  if (status.type() == fs::file_type::not_found) return std::nullopt;
  if (error) return fail(not_looked_at(link, error));
  if (!fs::is_symlink(status)) return fail(corrupt(link, "it is no symbolic link"));
  const fs::path target = fs::read_symlink(link, error);
  if (error) return fail(not_looked_at(link, error));
  const auto number = number_from(target.filename().string());
  if (!number || target != link_target(*number))
    return fail(corrupt(link, "it leads to " + printable(target.string(), 200)));
  return number;
}

/// What is in the directory of generations.
struct Contents {
  std::set<std::uint64_t> generations;
  std::vector<fs::path> unfinished;
  std::uint64_t highest = 0;  ///< of all numbers seen, those of damaged generations too
};

Result<Contents> list(const fs::path& directory) {
  Contents contents;
  const fs::path place = directory / generations;
  if (!is_there(place)) return contents;
  std::error_code error;
  for (fs::directory_iterator each(place, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    if (name.starts_with('.')) {
      contents.unfinished.push_back(each->path());
      continue;
    }
    const bool damaged = name.ends_with(damaged_suffix);
    const auto number =
        number_from(std::string_view(name).substr(0, name.size() - (damaged ? damaged_suffix.size() : 0)));
    if (!number) continue;
    contents.highest = std::max(contents.highest, *number);
    if (!damaged) contents.generations.insert(*number);
  }
  if (error) return fail(not_looked_at(place, error));
  return contents;
}

/// The key in a directory that may be half written; empty if there is none.
std::string key_pem_in(const fs::path& directory) {
  return read_file(directory / "token-key.pem", key_limit).value_or(std::string{});
}

AbandonedKey key_in(const fs::path& directory) {
  AbandonedKey key{.token = {}, .token_key_pem = key_pem_in(directory)};
  if (auto json = read_file(directory / "meta.json", key_limit))
    if (auto provenance = parse_provenance(*json)) key.token = std::move(provenance->token);
  return key;
}

/// One run of Store::clean_up.
class Cleaning {
 public:
  explicit Cleaning(fs::path directory) : directory_(std::move(directory)) {}

  Result<CleanUp> run() {
    auto contents = list(directory_);
    if (!contents) return fail(std::move(contents.error()));
    contents_ = std::move(*contents);
    if (auto done = choose_current(); !done) return fail(std::move(done.error()));
    if (auto done = remove_unfinished(); !done) return fail(std::move(done.error()));
    if (auto done = remove_unusable_request(); !done) return fail(std::move(done.error()));
    drop_keys_in_use();
    return std::move(done_);
  }

 private:
  /// The newest usable generation up to this one, 0 if there is none.
  [[nodiscard]] Result<std::uint64_t> newest_usable(std::uint64_t newest) const {
    for (const std::uint64_t number : contents_.generations | std::views::reverse) {
      if (number > newest) continue;
      const auto generation = read_generation(generation_path(directory_, number));
      if (generation) return number;
      if (generation.error().code != Errc::state_corrupt) return fail(generation.error());
    }
    return 0;
  }

  /// Keeps `current` if it is usable, and points it to the newest usable generation before it otherwise. Generations
  /// after it never became current.
  Result<> choose_current() {
    const auto named = current_number(directory_);
    if (!named && named.error().code != Errc::state_corrupt) return fail(named.error());
    const std::uint64_t newest = named ? named->value_or(contents_.highest) : contents_.highest;
    const auto chosen = newest_usable(newest);
    if (!chosen) return fail(chosen.error());
    const bool stays = named && named->value_or(0) == *chosen;
    if (!stays)
      if (auto pointed = point_to(*chosen); !pointed) return pointed;
    // Where there was no `current`, the first generation was written and the power failed before it was named.
    done_.fell_back = !stays && (!named || named->has_value());
    if (newest > *chosen) contents_.generations.insert(newest);
    for (const std::uint64_t number : contents_.generations) {
      if (number <= *chosen) continue;
      auto removed = number > newest ? remove(generation_path(directory_, number)) : set_aside(number);
      if (!removed) return removed;
    }
    return {};
  }

  Result<> point_to(std::uint64_t number) {
    const fs::path link = directory_ / current_link;
    std::error_code ignored;
    const bool in_the_way = is_there(link) && !fs::is_symlink(fs::symlink_status(link, ignored));
    if (in_the_way || number == 0)
      if (auto removed = devid::remove_all(link); !removed) return removed;
    return number == 0 ? Result<>{} : replace_symlink(link, link_target(number));
  }

  /// Keeps what is left of a generation that was current once, for whoever looks into it, and its number from being
  /// given again.
  Result<> set_aside(std::uint64_t number) {
    const fs::path from = generation_path(directory_, number);
    fs::path to = from;
    to += damaged_suffix;
    if (auto removed = devid::remove_all(to); !removed) return removed;
    std::error_code ignored;
    if (fs::is_directory(fs::symlink_status(from, ignored))) return rename_directory(from, to);
    if (auto made = make_directories(to, for_all); !made) return made;
    return devid::remove_all(from);
  }

  Result<> remove(const fs::path& directory) {
    if (AbandonedKey key = key_in(directory); !key.token_key_pem.empty())
      done_.abandoned_keys.push_back(std::move(key));
    return devid::remove_all(directory);
  }

  Result<> remove_unfinished() {
    for (const fs::path& path : contents_.unfinished)
      if (auto removed = remove(path); !removed) return removed;
    if (auto removed = remove(directory_ / unfinished_request); !removed) return removed;
    if (auto removed = devid::remove_all(directory_ / discarded_request); !removed)
      return removed;  // its key is gone already
    return devid::remove_all(directory_ / ("." + std::string(current_link) + ".new"));
  }

  Result<> remove_unusable_request() {
    const fs::path path = directory_ / request_directory;
    if (!is_there(path)) return {};
    const auto request = read_request(path);
    if (request && !keys_of_generations().contains(request->token_key_pem)) return {};
    return remove(path);
  }

  [[nodiscard]] std::set<std::string> keys_of_generations() const {
    std::set<std::string> keys;
    for (const std::uint64_t number : contents_.generations)
      keys.insert(key_pem_in(generation_path(directory_, number)));
    return keys;
  }

  /// A key may have been removed in one place and be kept in another: a request becomes a generation by being copied.
  void drop_keys_in_use() {
    if (done_.abandoned_keys.empty()) return;
    std::set<std::string> used = keys_of_generations();
    used.insert(key_pem_in(directory_ / request_directory));
    std::erase_if(done_.abandoned_keys,
                  [&](const AbandonedKey& key) { return !used.insert(key.token_key_pem).second; });
  }

  fs::path directory_;
  Contents contents_;
  CleanUp done_;
};

}  // namespace

Result<Store> Store::open(fs::path directory) {
  if (auto made = make_directories(directory, for_all); !made) return fail(std::move(made.error()));
  return Store(std::move(directory));
}

Result<std::optional<Generation>> Store::current() const {
  const auto named = current_number(directory_);
  if (!named) return fail(named.error());
  const std::uint64_t number = named->value_or(0);
  if (number == 0) return std::nullopt;
  auto generation = read_generation(generation_path(directory_, number));
  if (!generation) return fail(std::move(generation.error()));
  generation->number = number;
  return std::move(*generation);
}

Result<std::uint64_t> Store::install(const Generation& generation, const Finish& finish) {
  const auto contents = list(directory_);
  if (!contents) return fail(contents.error());
  const auto named = current_number(directory_);
  const std::uint64_t number = std::max(contents->highest, named ? named->value_or(0) : 0) + 1;
  const fs::path unfinished = unfinished_path(directory_, number);
  const fs::path finished = generation_path(directory_, number);

  Result<> done = make_directories(directory_ / generations, for_all);
  if (done) done = devid::remove_all(unfinished);
  if (done) done = make_directories(unfinished, for_all);
  if (done) done = write_generation(unfinished, generation);
  if (done) finish(unfinished);
  if (done)
    if (auto written = read_generation(unfinished); !written) done = fail(std::move(written.error()));
  if (done) done = rename_directory(unfinished, finished);
  if (done) done = replace_symlink(directory_ / current_link, link_target(number));
  if (done) return number;
  // The link may have been replaced although the last sync failed; then it must not be left dangling.
  if (const auto now = current_number(directory_); now && *now == number) return number;
  std::ignore = devid::remove_all(finished);
  std::ignore = devid::remove_all(unfinished);
  return fail(std::move(done.error()));
}

Result<> Store::save_request(const Request& request) {
  const fs::path path = directory_ / request_directory;
  const fs::path unfinished = directory_ / unfinished_request;
  if (is_there(path)) {
    return fail({.code = Errc::wrong_state,
                 .retry = Retry::later,
                 .what = "cannot keep a request in " + path.string(),
                 .reason = "there is one already"});
  }
  Result<> done = devid::remove_all(unfinished);
  if (done) done = make_directories(unfinished, for_devid);
  if (done) done = write_request(unfinished, request);
  if (done) done = rename_directory(unfinished, path);
  if (!done) {
    std::ignore = devid::remove_all(path);
    std::ignore = devid::remove_all(unfinished);
  }
  return done;
}

Result<> Store::replace_request(const Request& request) {
  const fs::path path = directory_ / request_directory;
  if (is_there(path)) return rewrite_csr(path, request.csr);
  return fail({.code = Errc::wrong_state,
               .retry = Retry::later,
               .what = "cannot keep a request in " + path.string(),
               .reason = "the one that it takes the place of is gone"});
}

Result<std::optional<Request>> Store::request() const {
  const fs::path path = directory_ / request_directory;
  if (!is_there(path)) return std::nullopt;
  auto request = read_request(path);
  if (!request) return fail(std::move(request.error()));
  return std::move(*request);
}

Result<> Store::discard_request() {
  const fs::path path = directory_ / request_directory;
  const fs::path discarded = directory_ / discarded_request;
  if (!is_there(path)) return {};
  if (auto removed = devid::remove_all(discarded); !removed) return removed;
  if (auto renamed = rename_directory(path, discarded); !renamed) return renamed;
  return devid::remove_all(discarded);
}

Result<CleanUp> Store::clean_up() { return Cleaning(directory_).run(); }

}  // namespace devid::identity
