#pragma once

#include <toml++/toml.h>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "base/secret_source.h"

namespace devid::identity {

/// What is wrong with one configuration file.
class Complaints {
 public:
  explicit Complaints(std::filesystem::path file) : file_(std::move(file)) {}

  /// `message` is put after "file:line:column: ".
  void add(const toml::source_region& where, std::string_view message, std::string hint = {});
  /// "file:line:column".
  [[nodiscard]] std::string place(const toml::source_region& where) const;
  /// All of them, each config_invalid, as they come in the file.
  [[nodiscard]] std::vector<Error> sorted() const;
  /// The one that comes first.
  [[nodiscard]] std::optional<Error> first() const;

 private:
  struct Complaint {
    toml::source_position where{};
    Error error;
  };
  std::filesystem::path file_;
  std::vector<Complaint> complaints_;
};

/// Parses a TOML text. Error: config_syntax, with file:line:column.
Result<toml::table> parse_toml(std::string_view text, const std::filesystem::path& file);

struct DurationRange {
  Seconds least;
  Seconds most;
};

/// Takes the values out of one TOML table, each by its type. What is not there is left to the caller; what is there and
/// wrong becomes a complaint, and counts as not there.
class TableParser {
 public:
  /// `name` is empty for the file's top level.
  TableParser(const toml::table& table, std::string name, Complaints& complaints);

  /// A table in this one; an empty one if it is not there, or is no table.
  TableParser table(std::string_view key);
  /// The tables in this one, by name, in the order of the file. Each other value is complained about.
  std::vector<std::pair<std::string, TableParser>> tables();
  /// A string that is not empty, and holds no control characters and no PIN (RFC 7512 pin-value).
  std::optional<std::string> string(std::string_view key);
  std::optional<std::filesystem::path> absolute_path(std::string_view key);
  std::optional<Seconds> duration(std::string_view key, DurationRange range);
  std::optional<bool> boolean(std::string_view key);
  /// Where a secret is. What is written there instead is not repeated: it may be the secret.
  std::optional<SecretSource> secret_source(std::string_view key);
  /// The strings of an array, each where it was found.
  struct Located {
    std::string value;
    toml::source_region where;
  };
  std::vector<Located> strings(std::string_view key);
  /// All keys and their strings, in the order of the file; an array gives its key once for each of its strings.
  struct Attribute {
    std::string key;
    Located value;
  };
  std::vector<Attribute> attributes();

  [[nodiscard]] bool exists() const { return exists_; }
  [[nodiscard]] bool has(std::string_view key) const { return table_.contains(key); }
  [[nodiscard]] bool has_string(std::string_view key) const;
  /// "file:line:column" of the value of a key, or, if there is none, of the table.
  [[nodiscard]] std::string place(std::string_view key) const;
  /// Complains about the value of a key, or, if there is none, about the table.
  void complain(std::string_view key, std::string_view message, std::string hint = {});
  /// Says nothing where the table itself was complained about.
  void complain_missing(std::string_view key, std::string hint = {});
  /// To be called when all known keys were asked for: complains about each other key, naming the nearest known one.
  void refuse_unknown();

 private:
  const toml::node* find(std::string_view key);
  TableParser table_at(const toml::node* node, std::string_view key);
  [[nodiscard]] std::vector<std::string> keys() const;
  [[nodiscard]] const toml::source_region& where(std::string_view key) const;
  [[nodiscard]] std::string full_name(std::string_view key) const;
  std::optional<Located> string_of(const toml::node& node, const std::string& name);
  void complain_type(const toml::node& node, std::string_view name, std::string_view wanted, std::string hint);

  const toml::table& table_;
  std::string name_;
  Complaints& complaints_;
  bool exists_ = true;
  bool is_other_type_ = false;
  std::vector<std::string> known_;
};

}  // namespace devid::identity
