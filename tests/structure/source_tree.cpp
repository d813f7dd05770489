#include "tests/structure/source_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <optional>
#include <regex>
#include <set>
#include <span>
#include <string_view>

namespace devid::test {
namespace {

namespace fs = std::filesystem;

const std::set<std::string, std::less<>> top_level = {
    "agent",   "base",     "dbus",     "docs",           "packaging",         "policies",
    "systemd", "tests",    "tokens",   "CMakeLists.txt", "CMakePresets.json", "CHANGELOG.md",
    "LICENSE", "Makefile", "README.md"};

/// What a folder's sources may include of ours: folders, or single headers. dbus/ is the composition root: all of it.
const std::map<std::string, std::vector<std::string>, std::less<>> arrows = {
    {"base", {"base"}},
    {"tokens", {"base", "tokens"}},
    {"tokens/tpm", {"base", "tokens", "tokens/tpm"}},
    {"tokens/pkcs11", {"base", "tokens", "tokens/pkcs11"}},
    {"tokens/openssl", {"base", "tokens", "tokens/openssl"}},
    {"agent/pki", {"base", "tokens", "tokens/openssl/signing_key.h", "agent/pki"}},
    {"agent/est", {"base", "tokens", "tokens/openssl/signing_key.h", "agent/pki", "agent/est"}},
    {"agent/identity", {"base", "tokens", "tokens/openssl/signing_key.h", "agent/pki", "agent/est", "agent/identity"}},
    {"agent", {"base", "tokens", "tokens/openssl/signing_key.h", "agent/pki", "agent/est", "agent/identity", "agent"}},
    {"dbus",
     {"base", "tokens", "tokens/tpm", "tokens/pkcs11", "agent", "agent/identity", "dbus",
      "org.devid1.Manager.adaptor.h", "org.devid1.Identity.adaptor.h", "org.devid1.Job.adaptor.h"}},
    {"dbus/ctl", {"base", "agent/pki", "dbus", "dbus/ctl"}},
};

/// Where in product code a third party's headers may be seen.
struct Room {
  std::string_view header;  ///< how the name in <…> begins
  std::string_view where;   ///< how the path of a file begins that may include it; "" is nowhere
};
constexpr auto rooms = std::to_array<Room>({
    {.header = "tss2/", .where = "tokens/tpm/"},
    {.header = "p11-kit/", .where = "tokens/pkcs11/"},
    {.header = "libp11", .where = "tokens/pkcs11/"},
    {.header = "curl/", .where = "agent/est/"},
    {.header = "sdbus-c++/", .where = "dbus/"},
    {.header = "systemd/", .where = "dbus/"},
    {.header = "CLI/", .where = "dbus/"},
    {.header = "libsmartcols", .where = "dbus/"},
    {.header = "toml", .where = "agent/identity/"},
    {.header = "nlohmann/", .where = "agent/identity/"},
    {.header = "nlohmann/", .where = "dbus/"},
    {.header = "boost/", .where = ""},
    {.header = "gtest/", .where = ""},
    {.header = "gmock/", .where = ""},
});

constexpr std::size_t longest_source = 400;  // lines

/// A word that must not be in a file, and why. Written in halves where this file would find itself.
struct Word {
  std::string pattern;
  std::string why;
};
const std::array unfinished = {
    Word{"\\b(TO"
         "DO|FIX"
         "ME|XX"
         "X|HA"
         "CK)\\b",
         "is unfinished work: finish it, or open an issue"}};
const std::array in_tests = {
    Word{"GTEST_"
         "SKIP|DIS"
         "ABLED_",
         "is a test that does not run: a missing tool is a failure"}};
const std::array in_libraries = {Word{"\\bshared_ptr\\b", "shares ownership: a value or unique_ptr says who owns"}};

struct Line {
  std::size_t number;
  std::string text;
};

struct Source {
  std::string path;  ///< relative to the root
  std::vector<Line> lines;
  [[nodiscard]] std::string folder() const { return fs::path(path).parent_path().string(); }
  [[nodiscard]] bool is_test() const { return path.starts_with("tests/"); }
  [[nodiscard]] bool is_code() const { return path.ends_with(".h") || path.ends_with(".cpp"); }
};

Source read(const fs::path& root, const fs::path& file) {
  Source source = {.path = fs::relative(file, root).generic_string(), .lines = {}};
  std::ifstream in(file);
  std::string text;
  while (std::getline(in, text)) source.lines.push_back({.number = source.lines.size() + 1, .text = text});
  return source;
}

/// Every file of ours below the folders of the top level, without what a build makes.
std::vector<Source> sources_of(const fs::path& root) {
  std::vector<Source> sources;
  for (const auto& name : top_level) {
    if (!fs::is_directory(root / name)) continue;
    for (const auto& entry : fs::recursive_directory_iterator(root / name))
      if (entry.is_regular_file()) sources.push_back(read(root, entry.path()));
  }
  std::ranges::sort(sources, {}, &Source::path);
  return sources;
}

/// Collects what it finds against one tree.
class Inspection {
 public:
  explicit Inspection(fs::path root) : root_(std::move(root)), sources_(sources_of(root_)) {}

  std::vector<std::string> run() {
    check_top_level();
    for (const auto& source : sources_) {
      forbid(source, unfinished);
      if (source.path.ends_with("CMakeLists.txt") || !source.is_code()) continue;
      check_includes(source);
      check_shape(source);
      if (source.is_test()) forbid(source, in_tests);
      if (source.path.starts_with("tokens/") || source.path.starts_with("agent/")) forbid(source, in_libraries);
    }
    return std::move(broken_);
  }

 private:
  void check_top_level() {
    for (const auto& entry : fs::directory_iterator(root_)) {
      const std::string name = entry.path().filename();
      if (name.starts_with('.') || name == "build" || top_level.contains(name)) continue;
      broken_.push_back(fmt::format("{}: has no place at the top level", name));
    }
  }

  void check_includes(const Source& source) {
    static const std::regex include(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
    for (const auto& line : source.lines) {
      std::smatch match;
      if (!std::regex_search(line.text, match, include)) continue;
      if (match[1] == "<") {
        check_room(source, line, match[2]);
      } else {
        check_arrow(source, line, match[2]);
      }
    }
  }

  void check_room(const Source& source, const Line& line, const std::string& header) {
    if (source.is_test()) return;
    bool has_room = false;
    for (const auto& room : rooms) {
      if (!header.starts_with(room.header)) continue;
      has_room = true;
      if (!room.where.empty() && source.path.starts_with(room.where)) return;
    }
    if (has_room) report(source, line, fmt::format("<{}> is outside of its room", header));
  }

  void check_arrow(const Source& source, const Line& line, const std::string& header) {
    if (source.is_test()) return;
    const auto arrow = arrows.find(source.folder());
    if (arrow == arrows.end()) {
      report(source, line, "is in a folder that the map does not know");
      return;
    }
    const std::string folder = fs::path(header).parent_path().string();
    const auto& allowed = arrow->second;
    if (std::ranges::find(allowed, folder) == allowed.end() && std::ranges::find(allowed, header) == allowed.end())
      report(source, line, fmt::format("{}/ may not use \"{}\"", source.folder(), header));
  }

  void check_shape(const Source& source) {
    if (source.lines.size() > longest_source)
      broken_.push_back(fmt::format("{}: {} lines are more than {}: two nouns in one room?", source.path,
                                    source.lines.size(), longest_source));
    const auto is_guard = [](const Line& line) { return line.text == "#pragma once"; };
    if (source.path.ends_with(".h") && std::ranges::none_of(source.lines, is_guard))
      broken_.push_back(fmt::format("{}: has no #pragma once", source.path));
    if (source.path.ends_with(".cpp") && !is_built(source))
      broken_.push_back(fmt::format("{}: is in no CMakeLists.txt", source.path));
  }

  /// Whether a CMakeLists.txt names the file, relative to itself.
  [[nodiscard]] bool is_built(const Source& source) const {
    return std::ranges::any_of(sources_, [&](const Source& list) {
      if (!list.path.ends_with("CMakeLists.txt")) return false;
      const std::string name = fs::path(source.path).lexically_relative(list.folder()).generic_string();
      return std::ranges::any_of(list.lines, [&](const Line& line) { return has_word(line.text, name); });
    });
  }

  /// Whether a line of a CMakeLists.txt has an argument of this text.
  static bool has_word(std::string_view line, std::string_view word) {
    constexpr std::string_view between = " ()\t";
    for (auto at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
      const auto end = at + word.size();
      if ((at == 0 || between.find(line[at - 1]) != std::string_view::npos) &&
          (end == line.size() || between.find(line[end]) != std::string_view::npos))
        return true;
    }
    return false;
  }

  void forbid(const Source& source, std::span<const Word> words) {
    for (const auto& word : words) {
      const std::regex pattern(word.pattern);
      for (const auto& line : source.lines) {
        std::smatch match;
        if (std::regex_search(line.text, match, pattern))
          report(source, line, fmt::format("{} {}", match[0].str(), word.why));
      }
    }
  }

  void report(const Source& source, const Line& line, std::string_view what) {
    broken_.push_back(fmt::format("{}:{}: {}", source.path, line.number, what));
  }

  fs::path root_;
  std::vector<Source> sources_;
  std::vector<std::string> broken_;
};

}  // namespace

std::vector<std::string> broken_rules(const fs::path& root) { return Inspection(root).run(); }

}  // namespace devid::test
