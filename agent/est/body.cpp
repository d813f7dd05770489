#include "agent/est/body.h"

#include <openssl/evp.h>

#include <algorithm>

#include "agent/est/ascii.h"
#include "base/wiped_text.h"

namespace devid::est {
namespace {

constexpr std::size_t line_length = 64;

bool is_base64_digit(char c) { return ascii::is_letter(c) || ascii::is_digit(c) || c == '+' || c == '/'; }

Result<Bytes> malformed(std::string reason) {
  return fail({.code = Errc::answer_malformed,
               .retry = Retry::later,
               .what = "the answer is not base64",
               .reason = std::move(reason),
               .hint = "see what the server, or a proxy before it, sends"});
}

/// What is between "-----BEGIN X-----" and "-----END X-----", if the text is just that; else the text itself, in which
/// the dashes are then found to be no base64.
std::string_view without_armour(std::string_view text) {
  constexpr std::string_view begin = "-----BEGIN ";
  constexpr std::string_view end = "-----END ";
  constexpr std::string_view dashes = "-----";
  if (!text.starts_with(begin)) return text;
  const auto head_end = text.find(dashes, begin.size());
  if (head_end == std::string_view::npos) return text;
  const std::string_view label = text.substr(begin.size(), head_end - begin.size());
  const std::string foot = std::string(end).append(label).append(dashes);
  const std::string_view inner = text.substr(head_end + dashes.size());
  return inner.ends_with(foot) ? inner.substr(0, inner.size() - foot.size()) : text;
}

}  // namespace

std::string encode_body(BytesView der) {
  std::string digits(((der.size() + 2) / 3 * 4) + 1, '\0');  // EVP_EncodeBlock ends it with a NUL
  const int size =
      EVP_EncodeBlock(as_uchar(std::as_writable_bytes(std::span(digits))), as_uchar(der), static_cast<int>(der.size()));
  digits.resize(static_cast<std::size_t>(size));
  std::string lines;
  for (std::size_t at = 0; at < digits.size(); at += line_length) lines.append(digits, at, line_length).append("\r\n");
  return lines;
}

std::size_t encoded_size(std::size_t bytes) {
  constexpr std::size_t line_end = 2;
  const std::size_t digits = (bytes + 2) / 3 * 4;
  return digits + ((digits + line_length - 1) / line_length * line_end);
}

Result<Bytes> decode_body(std::string_view text) {
  text = text.substr(0, text.find_last_not_of('\0') + 1);
  WipedText owned(without_armour(ascii::trim(text)));
  std::erase_if(owned, ascii::is_blank);
  const std::string_view digits = owned;

  const std::size_t padding = digits.size() - (digits.find_last_not_of('=') + 1);
  const std::string_view payload = digits.substr(0, digits.size() - padding);
  if (const auto* bad = std::ranges::find_if_not(payload, is_base64_digit); bad != payload.end())
    return malformed("it has '" + printable({bad, 1}) + "' at digit " + std::to_string(bad - payload.begin()));
  if (digits.size() % 4 != 0 || padding > 2) return malformed("its padding is wrong: it may be truncated");
  if (digits.empty()) return Bytes{};

  Bytes der(digits.size() / 4 * 3);
  const int size =
      EVP_DecodeBlock(as_uchar(std::span(der)), as_uchar(as_bytes(digits)), static_cast<int>(digits.size()));
  if (size < 0 || static_cast<std::size_t>(size) < padding) return malformed("");
  der.resize(static_cast<std::size_t>(size) - padding);
  return der;
}

}  // namespace devid::est
