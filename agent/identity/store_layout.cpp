#include "agent/identity/store_layout.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include "agent/identity/stored_file.h"

namespace devid::identity {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t key_limit = 64UL * 1024;
constexpr std::uint64_t highest_number = 1'000'000'000;
constexpr std::string_view damaged_suffix = ".damaged";

Error not_looked_at(const fs::path& path, const std::error_code& error) {
  return {.code = Errc::storage_failed,
          .retry = Retry::later,
          .what = "cannot look at " + path.string(),
          .reason = error.message()};
}

/// A generation's number as a store writes it; none for any other text.
std::optional<std::uint64_t> number_from(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number == 0 || number > highest_number || std::to_string(number) != text)
    return std::nullopt;
  return number;
}

}  // namespace

fs::path StoreLayout::generation(std::uint64_t number) const { return generations() / std::to_string(number); }

fs::path StoreLayout::unfinished(std::uint64_t number) const {
  return generations() / ("." + std::to_string(number) + ".new");
}

fs::path StoreLayout::retired(std::uint64_t number) const {
  return generations() / ("." + std::to_string(number) + ".old");
}

fs::path StoreLayout::damaged(std::uint64_t number) const {
  return generations() / std::to_string(number).append(damaged_suffix);
}

fs::path StoreLayout::link_target(std::uint64_t number) { return fs::path("generation") / std::to_string(number); }

StoreSlot StoreLayout::slot(const std::string& name) const {
  return {.path = directory_ / name,
          .unfinished = directory_ / ("." + name + ".new"),
          .discarded = directory_ / ("." + name + ".old")};
}

Result<std::optional<std::uint64_t>> StoreLayout::current_number() const {
  const fs::path link = current();
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

Result<StoreContents> StoreLayout::contents() const {
  StoreContents contents;
  const fs::path place = generations();
  if (!is_there(place)) return contents;
  std::error_code error;
  for (fs::directory_iterator each(place, error), end; !error && each != end; each.increment(error)) {
    const std::string name = each->path().filename().string();
    if (name.starts_with('.')) {
      contents.unfinished.push_back(each->path());
      continue;
    }
    const bool is_damaged = name.ends_with(damaged_suffix);
    const auto number =
        number_from(std::string_view(name).substr(0, name.size() - (is_damaged ? damaged_suffix.size() : 0)));
    if (!number) continue;
    contents.highest = std::max(contents.highest, *number);
    if (is_damaged) {
      contents.damaged.push_back(each->path());
    } else {
      contents.generations.insert(*number);
    }
  }
  if (error) return fail(not_looked_at(place, error));
  return contents;
}

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(fs::symlink_status(path, ignored));
}

Result<std::string> key_pem_in(const fs::path& directory) {
  auto key = read_stored(directory / "token-key.pem", key_limit);
  if (!key && key.error().code == Errc::state_corrupt) return std::string();
  return key;
}

}  // namespace devid::identity
