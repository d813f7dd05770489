#include "agent/identity/store.h"

#include <algorithm>
#include <functional>
#include <string_view>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr mode_t for_all = 0755;
constexpr mode_t for_devid = 0700;

Error wrong_state(std::string_view doing, const fs::path& path, std::string reason) {
  return {.code = Errc::wrong_state,
          .retry = Retry::later,
          .what = std::string(doing).append(" ").append(path.string()),
          .reason = std::move(reason)};
}

/// Fills a slot that is empty: under another name first, then whole at once. On any error nothing is left behind.
Result<> fill(const StoreSlot& slot, std::string_view doing, const std::function<Result<>(const fs::path&)>& write) {
  if (is_there(slot.path)) return fail(wrong_state(doing, slot.path, "there is one already"));
  Result<> done = devid::remove_all(slot.unfinished);
  if (done) done = make_directories(slot.unfinished, for_devid);
  if (done) done = write(slot.unfinished);
  if (done) done = rename_directory(slot.unfinished, slot.path);
  if (!done) {
    std::ignore = devid::remove_all(slot.path);
    std::ignore = devid::remove_all(slot.unfinished);
  }
  return done;
}

Result<> empty(const StoreSlot& slot) {
  if (!is_there(slot.path)) return {};
  if (auto removed = devid::remove_all(slot.discarded); !removed) return removed;
  if (auto renamed = rename_directory(slot.path, slot.discarded); !renamed) return renamed;
  return devid::remove_all(slot.discarded);
}

/// Writes a generation, and makes sure that it reads back.
Result<> write_and_check(const fs::path& directory, const Generation& generation) {
  if (auto written = write_generation(directory, generation); !written) return written;
  const auto read = read_generation(directory);
  return read ? Result<>() : fail(read.error());
}

}  // namespace

Result<Store> Store::open(fs::path directory) {
  if (auto made = make_directories(directory, for_all); !made) return fail(std::move(made.error()));
  return Store(std::move(directory));
}

Result<std::optional<Generation>> Store::current() const {
  const auto named = layout_.current_number();
  if (!named) return fail(named.error());
  const std::uint64_t number = named->value_or(0);
  if (number == 0) return std::nullopt;
  auto current = generation(number);
  if (!current) return fail(std::move(current.error()));
  return std::move(*current);
}

Result<Generation> Store::generation(std::uint64_t number) const {
  auto generation = read_generation(layout_.generation(number));
  if (generation) generation->number = number;
  return generation;
}

Result<std::set<std::uint64_t>> Store::generations() const {
  auto contents = layout_.contents();
  if (!contents) return fail(std::move(contents.error()));
  return std::move(contents->generations);
}

Result<std::uint64_t> Store::install(const Generation& generation, const Finish& finish) {
  const auto contents = layout_.contents();
  if (!contents) return fail(contents.error());
  const auto named = layout_.current_number();
  std::uint64_t highest = std::max(contents->highest, named ? named->value_or(0) : 0);
  const auto list = all_rolled_back();
  if (!list) return fail(list.error());
  for (const RolledBack& each : *list) highest = std::max(highest, each.generation);
  const std::uint64_t number = highest + 1;
  const fs::path unfinished = layout_.unfinished(number);
  const fs::path finished = layout_.generation(number);

  Result<> done = make_directories(layout_.generations(), for_all);
  if (done) done = devid::remove_all(unfinished);
  if (done) done = make_directories(unfinished, for_all);
  if (done) done = write_and_check(unfinished, generation);
  if (done) finish(unfinished);
  if (done) done = rename_directory(unfinished, finished);
  if (done) done = replace_symlink(layout_.current(), StoreLayout::link_target(number));
  if (done) return number;
  // The link may have been replaced although the last sync failed; then it must not be left dangling.
  if (const auto now = layout_.current_number(); now && *now == number) return number;
  std::ignore = devid::remove_all(finished);
  std::ignore = devid::remove_all(unfinished);
  return fail(std::move(done.error()));
}

// --- what may become the next generation ---

Result<> Store::save_request(const Request& request) {
  return fill(layout_.request(), "cannot keep a request in",
              [&](const fs::path& directory) { return write_request(directory, request); });
}

Result<> Store::replace_request(const Request& request) {
  const fs::path path = layout_.request().path;
  if (is_there(path)) return rewrite_csr(path, request.csr);
  return fail(wrong_state("cannot keep a request in", path, "the one that it takes the place of is gone"));
}

Result<std::optional<Request>> Store::request() const {
  const fs::path path = layout_.request().path;
  if (!is_there(path)) return std::nullopt;
  auto request = read_request(path);
  if (!request) return fail(std::move(request.error()));
  return std::move(*request);
}

Result<> Store::discard_request() { return empty(layout_.request()); }

Result<> Store::save_candidate(const Generation& candidate) {
  return fill(layout_.candidate(), "cannot keep a certificate in",
              [&](const fs::path& directory) { return write_and_check(directory, candidate); });
}

Result<std::optional<Generation>> Store::candidate() const {
  const fs::path path = layout_.candidate().path;
  if (!is_there(path)) return std::nullopt;
  auto candidate = read_generation(path);
  if (!candidate) return fail(std::move(candidate.error()));
  return std::move(*candidate);
}

Result<> Store::discard_candidate() { return empty(layout_.candidate()); }

// --- generations that are not current any more ---

Result<> Store::roll_back(std::uint64_t number, Time now) {
  const auto named = layout_.current_number();
  if (!named) return fail(named.error());
  const std::uint64_t from = named->value_or(0);
  const fs::path to = layout_.generation(number);
  if (from <= number || !is_there(to))
    return fail(wrong_state("cannot go back to", to, "there is no such generation before the current one"));
  auto list = all_rolled_back();
  if (!list) return fail(std::move(list.error()));
  // The highest stays: its number is not given again.
  std::erase_if(*list, [&](const RolledBack& each) {
    return each.generation < from && !is_there(layout_.generation(each.generation));
  });
  list->push_back({.generation = from, .at = now});
  // Written before it is one: while `current` names it, that counts.
  if (auto written = write_rolled_back(layout_.rolled_back(), *list); !written) return written;
  auto pointed = replace_symlink(layout_.current(), StoreLayout::link_target(number));
  if (pointed) return {};
  const auto is = layout_.current_number();
  return is && *is == number ? Result<>() : pointed;
}

Result<std::vector<RolledBack>> Store::rolled_back() const {
  const auto named = layout_.current_number();
  if (!named) return fail(named.error());
  auto list = all_rolled_back();
  if (list) std::erase_if(*list, [&](const RolledBack& each) { return each.generation <= named->value_or(0); });
  return list;
}

Result<std::vector<RolledBack>> Store::all_rolled_back() const { return read_rolled_back(layout_.rolled_back()); }

Result<> Store::retire(std::uint64_t number, const std::function<void()>& before_removal) {
  const auto named = layout_.current_number();
  if (!named) return fail(named.error());
  const fs::path path = layout_.generation(number);
  if (*named == number) return fail(wrong_state("cannot take away", path, "it is the current generation"));
  const fs::path aside = layout_.retired(number);
  if (auto removed = devid::remove_all(aside); !removed) return removed;
  if (auto renamed = rename_directory(path, aside); !renamed) return renamed;
  before_removal();
  return devid::remove_all(aside);
}

Result<std::set<std::string>> Store::keys_of_generations() const {
  const auto contents = layout_.contents();
  if (!contents) return fail(contents.error());
  std::vector<fs::path> places = contents->damaged;
  for (const std::uint64_t number : contents->generations) places.push_back(layout_.generation(number));
  std::set<std::string> keys;
  for (const fs::path& place : places) {
    auto key = key_pem_in(place);
    if (!key) return fail(std::move(key.error()));
    if (!key->empty()) keys.insert(std::move(*key));
  }
  return keys;
}

Result<std::uint32_t> Store::certificates_of(std::string_view token_key_pem) const {
  const auto numbers = generations();
  if (!numbers) return fail(numbers.error());
  std::uint32_t certificates = 0;
  for (const std::uint64_t number : *numbers) {
    const auto each = generation(number);
    if (each && each->token_key_pem == token_key_pem)
      certificates = std::max(certificates, each->provenance.certificates);
  }
  return certificates;
}

Result<std::set<std::string>> Store::keys_in_use() const {
  auto keys = keys_of_generations();
  if (!keys) return keys;
  for (const StoreSlot& slot : {layout_.request(), layout_.candidate()}) {
    auto key = key_pem_in(slot.path);
    if (!key) return fail(std::move(key.error()));
    if (!key->empty()) keys->insert(std::move(*key));
  }
  return keys;
}

Result<CleanUp> Store::clean_up(const OnAbandoned& on_abandoned) { return identity::clean_up(layout_, on_abandoned); }

}  // namespace devid::identity
