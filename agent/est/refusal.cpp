#include "agent/est/refusal.h"

#include <utility>

#include "agent/est/ascii.h"
#include "agent/est/media_type.h"
#include "agent/est/retry_after.h"

namespace devid::est {
namespace {

constexpr std::size_t longest_text = 500;
constexpr std::size_t looked_at = 16384;

/// Drops what is between "<" and ">": enough to read an error page by.
std::string without_tags(std::string_view html) {
  std::string out;
  bool in_tag = false;
  for (const char c : html) {
    if (c == '<') in_tag = true;
    if (!in_tag) out += c;
    if (c == '>' && in_tag) {
      in_tag = false;
      out += ' ';
    }
  }
  return out;
}

/// Any run of white space becomes one blank; NUL octets at the end, as libest sends them, go.
std::string in_one_line(std::string_view text) {
  std::string out;
  for (const char c : text.substr(0, text.find_last_not_of('\0') + 1)) {
    if (!ascii::is_blank(c)) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  if (out.ends_with(' ')) out.pop_back();
  return out;
}

bool is_readable(std::string_view media_type) {
  return media_type.starts_with("text/") || media_type == "application/json" || media_type.ends_with("+json");
}

struct Meaning {
  Errc code;
  Retry retry;
  std::string_view hint;
};

Meaning meaning_of(long status) {
  switch (status) {
    case 400:
      return {Errc::server_refused, Retry::after_operator,
              "the server's log says what it does not like about the request; often the names or the kind of key"};
    case 401:
    case 403: return {Errc::server_unauthorized, Retry::after_operator, ""};
    case 404:
      return {Errc::server_refused, Retry::after_operator,
              "check the URL and its label in the profile: the server has no such EST service"};
    case 408:
      return {Errc::server_unavailable, Retry::later,
              "the server waited in vain for the request: look for a slow network or proxy on the way"};
    case 429:
      return {Errc::server_unavailable, Retry::later,
              "the server wants fewer requests: see its limits, and how many devices are behind this address"};
    case 415:
      return {Errc::server_refused, Retry::after_operator,
              "the server does not take application/pkcs10 in base64: does it speak EST at this URL?"};
    default: break;
  }
  if (status >= 500 && status < 600) return {Errc::server_unavailable, Retry::later, "see the server's log"};
  if (status >= 400 && status < 500) return {Errc::server_refused, Retry::after_operator, "see the server's log"};
  return {Errc::server_protocol, Retry::after_operator, "is this the URL of an EST server?"};
}

}  // namespace

std::string text_of(const Answer& answer) {
  const auto type = MediaType::parse(answer.header("content-type"));
  const std::string_view body = std::string_view(answer.body).substr(0, looked_at);
  if (type && !is_readable(type->name)) return {};
  const bool html = type && type->name == "text/html";
  return printable(in_one_line(html ? without_tags(body) : std::string(body)), longest_text);
}

std::optional<Seconds> retry_after_of(const Answer& answer) {
  return parse_retry_after(answer.header("retry-after"), answer.header("date"));
}

Error refusal(const Answer& answer, const Introduction& introduction) {
  const Meaning meaning = meaning_of(answer.status);
  std::string text = text_of(answer);
  std::string hint = hint_for(answer, text, introduction);
  return {.code = meaning.code,
          .retry = meaning.retry,
          .what = "the server answers with status " + std::to_string(answer.status),
          .reason = std::move(text),
          .hint = hint.empty() ? std::string(meaning.hint) : std::move(hint),
          .retry_after = retry_after_of(answer)};
}

}  // namespace devid::est
