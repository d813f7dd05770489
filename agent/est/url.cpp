#include "agent/est/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <optional>

#include "agent/est/ascii.h"
#include "base/owned.h"

namespace devid::est {
namespace {

using Handle = Owned<CURLU, curl_url_cleanup>;
using Text = Owned<char, curl_free>;

constexpr std::size_t longest_url = 2048;

Result<Url> refuse(std::string_view url, std::string reason, std::string hint = {}) {
  return fail({.code = Errc::config_invalid,
               .retry = Retry::after_operator,
               .what = "'" + printable(url, 200) + "' is not a URL that devid can use",
               .reason = std::move(reason),
               .hint = std::move(hint)});
}

std::optional<std::string> part(CURLU* handle, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, flags) != CURLUE_OK) return std::nullopt;
  return std::string(Text(text).get());
}

bool is_printable_ascii(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f'; });
}

/// libcurl takes one slash or three for two.
bool has_odd_slashes(std::string_view url) {
  constexpr std::string_view start = "https://";
  if (ascii::lower(url.substr(0, 6)) != start.substr(0, 6)) return false;
  return ascii::lower(url.substr(0, start.size())) != start || url.substr(start.size()).starts_with('/');
}

}  // namespace

std::string Url::origin() const { return "https://" + host + ":" + port; }

std::string Url::text() const { return origin() + path + (query.empty() ? "" : "?" + query); }

Result<Url> Url::parse(std::string_view url, std::string_view base) {
  if (url.size() > longest_url) return refuse(url, "it is longer than 2048 characters");
  if (!is_printable_ascii(url)) {
    return refuse(url, "it has characters other than printable ASCII",
                  "write an international host name in its xn-- form, and percent-encode the rest");
  }
  if (has_odd_slashes(url)) return refuse(url, "it does not start with https://HOST");
  const Handle handle(curl_url());
  if (!base.empty() && curl_url_set(handle.get(), CURLUPART_URL, std::string(base).c_str(), 0) != CURLUE_OK)
    return refuse(base, "it is no absolute URL");
  const CURLUcode rc = curl_url_set(handle.get(), CURLUPART_URL, std::string(url).c_str(), CURLU_NON_SUPPORT_SCHEME);
  if (rc != CURLUE_OK) return refuse(url, curl_url_strerror(rc), "write https://HOST[:PORT]");
  if (part(handle.get(), CURLUPART_SCHEME) != "https")
    return refuse(url, "its scheme is not https", "EST is spoken over https only (RFC 7030 3.3)");
  if (part(handle.get(), CURLUPART_USER) || part(handle.get(), CURLUPART_PASSWORD))
    return refuse(url, "it holds user information");
  if (part(handle.get(), CURLUPART_ZONEID)) return refuse(url, "it names an IPv6 zone");

  auto host = part(handle.get(), CURLUPART_HOST);
  auto port = part(handle.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT);
  if (!host || host->empty() || !port || port == "0") return refuse(url, "it names no host and port");
  return Url{.host = ascii::lower(*host),
             .port = std::move(*port),
             .path = part(handle.get(), CURLUPART_PATH).value_or("/"),
             .query = part(handle.get(), CURLUPART_QUERY).value_or("")};
}

}  // namespace devid::est
