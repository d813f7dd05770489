#include "agent/identity/delivery_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

namespace devid::identity {
namespace {

constexpr mode_t of_public_files = 0644;
constexpr mode_t of_key_file = 0640;
constexpr mode_t read_by_owner = 0400;
constexpr mode_t read_by_all = 0004;
constexpr std::size_t longest_name = 256;

/// Three octal digits, with or without a 0 before them.
std::optional<mode_t> number_from(std::string_view text) {
  if (text.size() == 4 && text.front() == '0') text.remove_prefix(1);
  if (text.size() != 3) return std::nullopt;
  mode_t mode = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '7') return std::nullopt;
    mode = mode * 8 + static_cast<mode_t>(digit - '0');
  }
  return mode;
}

/// devid reads its files itself, nobody else changes them, and nobody executes them.
std::optional<mode_t> parse_mode(TableParser& table, const char* key, mode_t most) {
  const auto text = table.string(key);
  if (!text) return std::nullopt;
  const auto mode = number_from(*text);
  if (mode && (*mode & ~most) == 0 && (*mode & read_by_owner) != 0) return mode;
  table.complain(key, fmt::format("files.{} cannot be '{}'", key, *text),
                 fmt::format("write an octal number with no more bits than \"0{:o}\", and with 0400", most));
  return std::nullopt;
}

std::string parse_account(TableParser& table, const char* key) {
  auto name = table.string(key);
  if (!name) return {};
  const bool good = name->size() <= longest_name && name->find_first_of(":/, ") == std::string::npos;
  if (good) return *std::move(name);
  table.complain(key, fmt::format("files.{} cannot be '{}'", key, *name), "write the name of a user or group");
  return {};
}

}  // namespace

FileSettings parse_files(TableParser table) {
  FileSettings settings{.owner = parse_account(table, "owner"),
                        .group = parse_account(table, "group"),
                        .mode = parse_mode(table, "mode", of_public_files),
                        .key_group = parse_account(table, "key_group"),
                        .key_mode = parse_mode(table, "key_mode", of_key_file)};
  if (!settings.owner.empty() && (settings.mode.value_or(of_public_files) & read_by_all) == 0)
    table.complain("mode", "files.mode shuts devid out: with files.owner it is not the owner any more",
                   "let everybody read what is public: \"0644\"; or leave files.owner out");
  table.refuse_unknown();
  return settings;
}

Copies parse_copies(TableParser table) {
  std::set<std::filesystem::path> seen;
  const auto parse = [&](const char* key) -> std::filesystem::path {
    const auto path = table.absolute_path(key);
    if (!path) return {};
    if (!path->has_filename() || path->lexically_normal() != *path) {
      table.complain(key, fmt::format("copies.{} is no plain path of a file", key),
                     "write it without \"..\" and \"//\"");
    } else if (!seen.insert(*path).second) {
      table.complain(key, fmt::format("copies.{} is where another copy is put", key), "name a file of its own");
    } else {
      return *path;
    }
    return {};
  };
  Copies copies{.certificate = parse("certificate"),
                .chain = parse("chain"),
                .certificate_chain = parse("certificate_chain"),
                .trust_anchors = parse("trust_anchors")};
  table.refuse_unknown();
  return copies;
}

}  // namespace devid::identity
