#include "agent/identity/table_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <numeric>

#include "agent/identity/duration.h"

namespace devid::identity {
namespace {

/// A table without a place of its own begins with the file.
toml::source_position position_of(const toml::source_region& region) {
  return region.begin ? region.begin : toml::source_position{1, 1};
}

std::string place_of(const std::filesystem::path& file, const toml::source_region& where) {
  const auto position = position_of(where);
  return fmt::format("{}:{}:{}", file.string(), position.line, position.column);
}

std::string_view type_text(toml::node_type type) {
  switch (type) {
    case toml::node_type::table: return "a table";
    case toml::node_type::array: return "an array";
    case toml::node_type::string: return "a string";
    case toml::node_type::integer: return "an integer";
    case toml::node_type::floating_point: return "a floating-point number";
    case toml::node_type::boolean: return "a boolean";
    case toml::node_type::date: return "a date";
    case toml::node_type::time: return "a time";
    case toml::node_type::date_time: return "a date and time";
    case toml::node_type::none: break;
  }
  return "something else";
}

/// Levenshtein's: how many characters must be put in, taken out or changed.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j) {
      const std::size_t changed = diagonal + (a[i] == b[j] ? 0 : 1);
      diagonal = row[j + 1];
      row[j + 1] = std::min({changed, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

/// "did you mean …", or all that there is if nothing is near.
std::string advice_for(std::string_view unknown, const std::vector<std::string>& known) {
  if (unknown.size() > 64 || known.empty()) return {};
  const auto nearest = std::ranges::min_element(
      known, {}, [&](const std::string& candidate) { return edit_distance(unknown, candidate); });
  if (edit_distance(unknown, *nearest) <= std::max<std::size_t>(2, unknown.size() / 3))
    return fmt::format("did you mean '{}'?", *nearest);
  return fmt::format("known here: {}", fmt::join(known, ", "));
}

const toml::table& empty_table() {
  static const toml::table table;
  return table;
}

std::string in_lower_case(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return text;
}

/// Whether a text holds a PIN as RFC 7512 allows it in a URI, whatever else may be wrong with it.
bool holds_pin(const std::string& text) { return in_lower_case(text).find("pin-value") != std::string::npos; }

/// Whether a pin-source says something else than a place: it may be the PIN itself, and the URI is shown to everybody.
bool holds_pin_for_source(const std::string& text) {
  constexpr std::string_view source = "pin-source=";
  constexpr std::array<std::string_view, 6> places{"/", "%2f", "file:", "file%3a", "credential:", "credential%3a"};
  const std::string lower = in_lower_case(text);
  for (auto at = lower.find(source); at != std::string::npos; at = lower.find(source, at + 1)) {
    const std::string_view rest = std::string_view(lower).substr(at + source.size());
    if (std::ranges::none_of(places, [&](std::string_view place) { return rest.starts_with(place); })) return true;
  }
  return false;
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

}  // namespace

void Complaints::add(const toml::source_region& where, std::string_view message, std::string hint) {
  complaints_.push_back({.where = position_of(where),
                         .error = {.code = Errc::config_invalid,
                                   .retry = Retry::after_operator,
                                   .what = fmt::format("{}: {}", place(where), message),
                                   .hint = std::move(hint)}});
}

std::string Complaints::place(const toml::source_region& where) const { return place_of(file_, where); }

std::vector<Error> Complaints::sorted() const {
  auto complaints = complaints_;
  std::ranges::stable_sort(complaints, {}, [](const Complaint& complaint) {
    return std::pair(complaint.where.line, complaint.where.column);
  });
  std::vector<Error> errors;
  errors.reserve(complaints.size());
  for (Complaint& complaint : complaints) errors.push_back(std::move(complaint.error));
  return errors;
}

std::optional<Error> Complaints::first() const {
  auto errors = sorted();
  return errors.empty() ? std::nullopt : std::optional(std::move(errors.front()));
}

Result<toml::table> parse_toml(std::string_view text, const std::filesystem::path& file) {
  try {
    return toml::parse(text, std::string_view(file.native()));
  } catch (const toml::parse_error& error) {
    return fail({.code = Errc::config_syntax,
                 .retry = Retry::after_operator,
                 .what = place_of(file, error.source()) + ": this is not TOML",
                 .reason = std::string(error.description()),
                 .hint = "a table's name stands in brackets, a text in quotes; see devid.toml(5)"});
  }
}

TableParser::TableParser(const toml::table& table, std::string name, Complaints& complaints)
    : table_(table), name_(std::move(name)), complaints_(complaints) {}

TableParser TableParser::table(std::string_view key) { return table_at(find(key), key); }

std::vector<std::pair<std::string, TableParser>> TableParser::tables() {
  std::vector<std::pair<std::string, TableParser>> found;
  for (const std::string& key : keys()) {
    TableParser parser = table(key);
    if (parser.exists()) found.emplace_back(key, std::move(parser));
  }
  return found;
}

TableParser TableParser::table_at(const toml::node* node, std::string_view key) {
  if (node != nullptr && !node->is_table())
    complain_type(*node, full_name(key), "a table", fmt::format("write it as [{}]", full_name(key)));
  const bool usable = node != nullptr && node->is_table();
  TableParser parser(usable ? *node->as_table() : empty_table(), full_name(key), complaints_);
  parser.exists_ = usable;
  parser.is_other_type_ = node != nullptr && !usable;
  return parser;
}

std::optional<std::string> TableParser::string(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  auto found = string_of(*node, full_name(key));
  return found ? std::optional(std::move(found->value)) : std::nullopt;
}

std::optional<std::filesystem::path> TableParser::absolute_path(std::string_view key) {
  auto text = string(key);
  if (!text) return std::nullopt;
  std::filesystem::path path(std::move(*text));
  if (path.is_absolute()) return path;
  complain(key, fmt::format("{} must be an absolute path, not '{}'", full_name(key), path.string()),
           "write the whole path, from the first '/' on");
  return std::nullopt;
}

std::optional<Seconds> TableParser::duration(std::string_view key, DurationRange range) {
  const auto text = string(key);
  if (!text) return std::nullopt;
  const auto duration = parse_duration(*text);
  if (!duration) {
    complain(key, fmt::format("{} must be a duration, not '{}'", full_name(key), *text),
             "write a whole number and its unit: \"90s\", \"15min\", \"6h\" or \"30d\"");
  } else if (*duration < range.least || *duration > range.most) {
    complain(
        key,
        fmt::format("{} must be from {} to {}", full_name(key), duration_text(range.least), duration_text(range.most)),
        "write a time between the two, or leave it out for the default");
  } else {
    return duration;
  }
  return std::nullopt;
}

std::optional<bool> TableParser::boolean(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return std::nullopt;
  if (const auto* boolean = node->as_boolean()) return boolean->get();
  complain_type(*node, full_name(key), "a boolean", "write true or false, without quotes");
  return std::nullopt;
}

std::optional<SecretSource> TableParser::secret_source(std::string_view key) {
  const auto text = string(key);
  if (!text) return std::nullopt;
  auto source = parse_secret_source(*text);
  if (source) return std::move(*source);
  complain(key, fmt::format("{}: {}", full_name(key), source.error().what), source.error().hint);
  return std::nullopt;
}

std::vector<TableParser::Located> TableParser::strings(std::string_view key) {
  const toml::node* node = find(key);
  if (node == nullptr) return {};
  if (!node->is_array()) {
    complain_type(*node, full_name(key), "an array of strings", "write it in brackets and quotes: [\"…\"]");
    return {};
  }
  std::vector<Located> found;
  for (const toml::node& element : *node->as_array())
    if (auto string = string_of(element, full_name(key))) found.push_back(std::move(*string));
  return found;
}

std::vector<TableParser::Attribute> TableParser::attributes() {
  std::vector<Attribute> found;
  for (const std::string& key : keys()) {
    const toml::node* node = find(key);
    if (node->is_array()) {
      for (auto& value : strings(key)) found.push_back({.key = key, .value = std::move(value)});
    } else if (auto value = string_of(*node, full_name(key))) {
      found.push_back({.key = key, .value = std::move(*value)});
    }
  }
  return found;
}

/// In the order of the file.
std::vector<std::string> TableParser::keys() const {
  std::vector<std::pair<toml::source_position, std::string>> order;
  for (const auto& [key, node] : table_) order.emplace_back(key.source().begin, std::string(key.str()));
  std::ranges::sort(order, {}, [](const auto& entry) { return std::pair(entry.first.line, entry.first.column); });
  std::vector<std::string> keys;
  keys.reserve(order.size());
  for (auto& [position, key] : order) keys.push_back(std::move(key));
  return keys;
}

bool TableParser::has_string(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return node != nullptr && node->is_string();
}

std::string TableParser::place(std::string_view key) const { return complaints_.place(where(key)); }

void TableParser::complain(std::string_view key, std::string_view message, std::string hint) {
  complaints_.add(where(key), message, std::move(hint));
}

void TableParser::complain_missing(std::string_view key, std::string hint) {
  if (is_other_type_) return;
  complaints_.add(table_.source(), fmt::format("{} is missing", full_name(key)), std::move(hint));
}

void TableParser::refuse_unknown() {
  for (const auto& [key, node] : table_) {
    if (std::ranges::find(known_, key.str()) != known_.end()) continue;
    const std::string where = name_.empty() ? "" : fmt::format(" in [{}]", name_);
    complaints_.add(key.source(), fmt::format("unknown key '{}'{}", key.str(), where), advice_for(key.str(), known_));
  }
}

const toml::node* TableParser::find(std::string_view key) {
  known_.emplace_back(key);
  return table_.get(key);
}

const toml::source_region& TableParser::where(std::string_view key) const {
  const toml::node* node = table_.get(key);
  return node != nullptr ? node->source() : table_.source();
}

std::string TableParser::full_name(std::string_view key) const {
  return name_.empty() ? std::string(key) : fmt::format("{}.{}", name_, key);
}

std::optional<TableParser::Located> TableParser::string_of(const toml::node& node, const std::string& name) {
  const auto* string = node.as_string();
  if (string == nullptr) {
    complain_type(node, name, "a string", "write it in quotes: \"…\"");
    return std::nullopt;
  }
  if (string->get().empty()) {
    complaints_.add(node.source(), name + " is empty", "give it a value; see devid.toml(5)");
  } else if (std::ranges::any_of(string->get(), is_control)) {
    complaints_.add(node.source(), name + " holds a control character",
                    "leave out what cannot be seen, tabs and line breaks too");
  } else if (holds_pin(string->get())) {
    complaints_.add(
        node.source(), name + " holds a pin-value: a PIN is never written down itself",
        "take it out; name where the PIN is, with pin = \"credential:NAME\" in devid.toml or with pin-source");
  } else if (holds_pin_for_source(string->get())) {
    complaints_.add(node.source(), name + " has a pin-source that is not a place: a PIN is never written down itself",
                    "write pin-source=credential:NAME, or pin-source=file:/path");
  } else {
    return Located{.value = string->get(), .where = node.source()};
  }
  return std::nullopt;
}

void TableParser::complain_type(const toml::node& node, std::string_view name, std::string_view wanted,
                                std::string hint) {
  complaints_.add(node.source(), fmt::format("{} must be {}, not {}", name, wanted, type_text(node.type())),
                  std::move(hint));
}

}  // namespace devid::identity
