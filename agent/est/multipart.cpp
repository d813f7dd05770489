#include "agent/est/multipart.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "agent/est/ascii.h"

namespace devid::est {
namespace {

constexpr std::size_t longest_boundary = 70;  // RFC 2046 5.1.1
constexpr std::size_t most_parts = 8;
constexpr std::size_t most_header_lines = 64;
constexpr std::string_view default_type = "application/octet-stream";

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot take the server's multipart answer apart",
          .reason = std::move(reason),
          .hint = "see what the server, or a proxy before it, sends"};
}

/// One line of the text and where it is, without its end.
struct Line {
  std::string_view text;
  std::size_t begin = 0;
  std::size_t next = 0;  ///< where the line after it begins
};

Line line_at(std::string_view body, std::size_t begin) {
  const auto feed = body.find('\n', begin);
  const std::size_t end = std::min(feed, body.size());
  std::string_view text = body.substr(begin, end - begin);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return {.text = text, .begin = begin, .next = feed == std::string_view::npos ? body.size() : feed + 1};
}

enum class Kind { content, delimiter, last_delimiter };

/// A delimiter has a line of its own: what only looks like it within a line, or goes on otherwise, is content.
Kind kind_of(std::string_view line, std::string_view delimiter) {
  if (!line.starts_with(delimiter)) return Kind::content;
  line.remove_prefix(delimiter.size());
  const bool last = line.starts_with("--");
  if (last) line.remove_prefix(2);
  if (!ascii::trim(line).empty()) return Kind::content;
  return last ? Kind::last_delimiter : Kind::delimiter;
}

/// The line end before a delimiter belongs to the delimiter.
std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  if (text.ends_with('\r')) text.remove_suffix(1);
  return text;
}

using Headers = std::map<std::string, std::string, std::less<>>;

/// Reads header lines until the empty one, or the end, and drops both from `rest`. Of several with one name the first
/// holds.
Result<Headers> take_headers(std::string_view& rest) {
  Headers headers;
  std::string* open = nullptr;  // what a folded line goes on with
  std::string repeated;
  for (std::size_t lines = 0; !rest.empty(); ++lines) {
    const Line line = line_at(rest, 0);
    rest.remove_prefix(line.next);
    if (line.text.empty()) break;
    if (lines == most_header_lines)
      return fail(malformed("a part has more than " + std::to_string(most_header_lines) + " header lines"));
    if (ascii::is_blank(line.text.front())) {
      if (open == nullptr) return fail(malformed("a part begins with a folded header line"));
      open->append(" ").append(ascii::trim(line.text));
      continue;
    }
    const auto colon = line.text.find(':');
    if (colon == std::string_view::npos) return fail(malformed("a header line of a part has no colon"));
    const auto [at, added] = headers.try_emplace(ascii::lower(ascii::trim(line.text.substr(0, colon))),
                                                 ascii::trim(line.text.substr(colon + 1)));
    open = added ? &at->second : &repeated;
  }
  return headers;
}

Result<Part> read_part(std::string_view text) {
  auto headers = take_headers(text);
  if (!headers) return fail(std::move(headers.error()));
  MediaType type{.name = std::string(default_type), .parameters = {}};
  if (const auto found = headers->find("content-type"); found != headers->end()) {
    auto parsed = MediaType::parse(found->second);
    if (!parsed) return fail(malformed("a part is of no media type: " + printable(found->second, 100)));
    type = std::move(*parsed);
  }
  return Part{.type = std::move(type), .headers = std::move(*headers), .body = text};
}

/// "--" and the boundary.
Result<std::string> delimiter_of(const MediaType& type) {
  const auto found = type.parameters.find("boundary");
  if (found == type.parameters.end() || found->second.empty()) return fail(malformed("its media type has no boundary"));
  const std::string& boundary = found->second;
  if (boundary.size() > longest_boundary)
    return fail(malformed("its boundary is longer than " + std::to_string(longest_boundary) + " characters"));
  // Blanks at its end are taken off in transport (RFC 2046 5.1.1).
  if (boundary.ends_with(' ') || std::ranges::any_of(boundary, [](char c) { return c < ' ' || c > '~'; }))
    return fail(malformed("its boundary has characters that a boundary cannot have"));
  return "--" + boundary;
}

}  // namespace

bool ends_with_last_boundary(std::string_view body, const MediaType& type) {
  constexpr std::size_t looked_at = 256;
  if (!type.name.starts_with("multipart/")) return false;
  const auto delimiter = delimiter_of(type);
  if (!delimiter) return false;
  const bool is_all = body.size() <= looked_at;
  if (!is_all) body.remove_prefix(body.size() - looked_at);
  body = body.substr(0, body.find_last_not_of(std::string_view(" \t\r\n\0", 5)) + 1);
  const std::string last = *delimiter + "--";
  if (!body.ends_with(last)) return false;
  body.remove_suffix(last.size());
  return body.empty() ? is_all : body.ends_with('\n');
}

Result<std::vector<Part>> split_multipart(std::string_view body, const MediaType& type) {
  const auto delimiter = delimiter_of(type);
  if (!delimiter) return fail(delimiter.error());
  body = body.substr(0, body.find_last_not_of('\0') + 1);

  std::vector<Part> parts;
  std::optional<std::size_t> begin;  // of the part that is open; none in the preamble
  for (std::size_t at = 0; at < body.size();) {
    const Line line = line_at(body, at);
    at = line.next;
    const Kind kind = kind_of(line.text, *delimiter);
    if (kind == Kind::content) continue;
    if (begin) {
      if (parts.size() == most_parts)
        return fail(malformed("it has more than " + std::to_string(most_parts) + " parts"));
      auto part = read_part(without_line_end(body.substr(*begin, line.begin - *begin)));
      if (!part) return fail(std::move(part.error()));
      parts.push_back(std::move(*part));
    }
    if (kind == Kind::last_delimiter) {
      if (!begin) return fail(malformed("it ends before its first part"));
      return parts;
    }
    begin = line.next;
  }
  return fail(malformed(begin ? "its last boundary is missing: it may be truncated" : "its boundary is not in it"));
}

}  // namespace devid::est
