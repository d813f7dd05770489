#include "agent/pki/revocation_cache.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <system_error>
#include <vector>

#include "base/file.h"

namespace devid::pki {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view first_line = "devid revocation 1\n";
constexpr std::size_t name_length = 64;
constexpr mode_t file_mode = 0600;
constexpr mode_t directory_mode = 0700;
constexpr std::string_view digits = "0123456789abcdef";

/// SHA-256 of the key, in hexadecimal: a file name, whatever a URL holds.
std::string name_of(std::string_view key) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(key.data(), key.size(), digest.data(), &size, EVP_sha256(), nullptr);
  std::string name;
  for (const unsigned char byte : std::span(digest).first(size)) {
    name += digits[byte >> 4U];
    name += digits[byte & 0xfU];
  }
  return name;
}

bool is_name(std::string_view name) {
  return name.size() == name_length && name.find_first_not_of(digits) == std::string_view::npos;
}

/// What write_file_atomically leaves behind when the power goes.
bool is_cut_short(std::string_view name) {
  constexpr std::string_view end = ".new";
  if (!name.starts_with('.') || !name.ends_with(end)) return false;
  return is_name(name.substr(1, name.size() - 1 - end.size()));
}

/// The file of an entry: a line that says what it is, one with its end in seconds since the epoch, one with its key,
/// and then its content as it came.
std::string to_file(std::string_view key, BytesView content, Time until) {
  std::string file(first_line);
  file.append(std::to_string(until.time_since_epoch().count())).append("\n").append(key).append("\n");
  return file.append(as_text(content));
}

std::optional<std::string_view> content_of(std::string_view file, std::string_view key, Time now, Seconds longest) {
  if (!file.starts_with(first_line)) return std::nullopt;
  file.remove_prefix(first_line.size());
  std::int64_t seconds = 0;
  const auto [rest, error] = std::from_chars(file.data(), file.data() + file.size(), seconds);
  if (error != std::errc() || seconds < 0) return std::nullopt;
  const std::int64_t left = seconds - now.time_since_epoch().count();
  if (left <= 0 || left > longest.count()) return std::nullopt;
  file.remove_prefix(static_cast<std::size_t>(rest - file.data()));
  const std::string expected = "\n" + std::string(key) + "\n";
  if (!file.starts_with(expected)) return std::nullopt;
  return file.substr(expected.size());
}

}  // namespace

RevocationCache::RevocationCache(CacheLimits limits) : limits_(limits) {}

RevocationCache::RevocationCache(fs::path directory, CacheLimits limits)
    : directory_(std::move(directory)), limits_(limits) {}

std::optional<Bytes> RevocationCache::find(std::string_view key, Time now, Seconds longest) {
  const std::string name = name_of(key);
  const auto file = read(name);
  if (!file) return std::nullopt;
  const auto content = content_of(*file, key, now, longest);
  if (content) return to_bytes(as_bytes(*content));
  remove(name);
  return std::nullopt;
}

void RevocationCache::keep(std::string_view key, BytesView content, Time until, Time now, Seconds longest) {
  const std::string name = name_of(key);
  std::string file = to_file(key, content, until);
  remove(name);
  if (!content_of(file, key, now, longest) || file.size() > limits_.bytes || limits_.entries == 0) return;
  make_room(file.size());
  write(name, std::move(file));
}

void RevocationCache::drop(std::string_view key) { remove(name_of(key)); }

std::optional<std::string> RevocationCache::read(const std::string& name) const {
  if (directory_.empty()) {
    const auto found = held_.find(name);
    return found == held_.end() ? std::nullopt : std::optional(found->second.file);
  }
  auto file = read_file(directory_ / name, limits_.bytes);
  return file ? std::optional(std::move(*file)) : std::nullopt;
}

void RevocationCache::write(const std::string& name, std::string file) {
  if (directory_.empty()) {
    held_.insert_or_assign(name, Held{.file = std::move(file), .order = ++written_});
    return;
  }
  if (!make_directories(directory_, directory_mode)) return;
  static_cast<void>(write_file_atomically(directory_ / name, file, file_mode));
}

void RevocationCache::remove(const std::string& name) {
  held_.erase(name);
  std::error_code ignored;
  if (!directory_.empty()) fs::remove(directory_ / name, ignored);
}

std::vector<RevocationCache::Listed> RevocationCache::list() const {
  std::vector<Listed> all;
  all.reserve(held_.size());
  for (const auto& [name, held] : held_)
    all.push_back({.name = name, .size = held.file.size(), .age = static_cast<std::int64_t>(held.order)});
  std::error_code ignored;
  if (directory_.empty()) return all;
  for (fs::directory_iterator each(directory_, ignored), end; each != end; each.increment(ignored)) {
    const std::string name = each->path().filename().string();
    if (is_cut_short(name)) fs::remove(each->path(), ignored);
    if (!is_name(name)) continue;
    const auto size = each->file_size(ignored);
    if (ignored) continue;
    const auto written = each->last_write_time(ignored).time_since_epoch().count();
    all.push_back({.name = name, .size = size, .age = written});
  }
  return all;
}

void RevocationCache::make_room(std::size_t bytes) {
  std::vector<Listed> all = list();
  std::ranges::sort(all, {}, &Listed::age);
  std::size_t used = bytes;
  for (const Listed& each : all) used += each.size;
  std::size_t count = all.size() + 1;
  for (const Listed& each : all) {
    if (used <= limits_.bytes && count <= limits_.entries) return;
    remove(each.name);
    used -= each.size;
    --count;
  }
}

}  // namespace devid::pki
