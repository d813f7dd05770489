#include "agent/est/download.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>
#include <string>

#include "agent/est/ascii.h"
#include "agent/est/curl_error.h"
#include "agent/est/curl_library.h"
#include "agent/est/curl_options.h"
#include "base/owned.h"

namespace devid::est {
namespace {

using Lines = Owned<curl_slist, curl_slist_free_all>;
using Handle = Owned<CURLU, curl_url_cleanup>;
using Text = Owned<char, curl_free>;
using SteadyClock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

constexpr std::size_t longest_url = 2048;
constexpr std::size_t head_limit = 65536;
constexpr std::size_t shown_url = 200;
constexpr unsigned most_redirects = 3;
constexpr long ok = 200;

Error unusable(std::string_view url, std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "the URL '" + printable(url, shown_url) + "' in a certificate cannot be used",
          .reason = std::move(reason)};
}

Error cannot_fetch(Errc code, std::string_view url, std::string reason) {
  return {.code = code,
          .retry = Retry::later,
          .what = "cannot fetch " + printable(url, shown_url),
          .reason = std::move(reason)};
}

std::optional<std::string> part(CURLU* handle, CURLUPart which) {
  char* text = nullptr;
  if (curl_url_get(handle, which, &text, 0) != CURLUE_OK) return std::nullopt;
  return std::string(Text(text).get());
}

/// The host of a URL, without brackets; empty if there is none.
std::string host_of(const std::string& url) {
  const Handle handle(curl_url());
  if (curl_url_set(handle.get(), CURLUPART_URL, url.c_str(), 0) != CURLUE_OK) return {};
  const std::optional<std::string> host = part(handle.get(), CURLUPART_HOST);
  if (!host) return {};
  return host->starts_with('[') ? host->substr(1, host->size() - 2) : *host;
}

/// What has come of an answer so far.
struct Arrival {
  std::size_t limit = 0;
  std::size_t head_bytes = 0;
  bool too_large = false;
  Bytes body;
};

/// CURLOPT_HEADERFUNCTION: curl keeps what it needs of it.
std::size_t count_head(const char* data, std::size_t one, std::size_t size, void* context) {
  static_cast<void>(data);
  static_cast<void>(one);
  auto& arrival = *static_cast<Arrival*>(context);
  arrival.head_bytes += size;
  arrival.too_large = arrival.head_bytes > head_limit;
  return arrival.too_large ? CURL_WRITEFUNC_ERROR : size;
}

/// CURLOPT_WRITEFUNCTION.
std::size_t take_body(const char* data, std::size_t one, std::size_t size, void* context) {
  static_cast<void>(one);
  auto& arrival = *static_cast<Arrival*>(context);
  arrival.too_large = size > arrival.limit - arrival.body.size();
  if (arrival.too_large) return CURL_WRITEFUNC_ERROR;
  const BytesView piece = as_bytes({data, size});
  arrival.body.insert(arrival.body.end(), piece.begin(), piece.end());
  return size;
}

/// CURLOPT_XFERINFOFUNCTION. Anything but 0 ends the download.
int on_progress(void* context, curl_off_t to_receive, curl_off_t received, curl_off_t to_send, curl_off_t sent) {
  static_cast<void>(to_receive + received + to_send + sent);
  const auto& cancelled = *static_cast<const std::function<bool()>*>(context);
  return cancelled && cancelled() ? 1 : 0;
}

Milliseconds time_of(const pki::Download& what, const DownloadSpec& spec) {
  const Milliseconds most = spec.time;
  return std::min(most, what.time.value_or(most));
}

/// One download: the first URL, and where it leads to.
class Fetch {
 public:
  Fetch(const pki::Download& what, const DownloadSpec& spec)
      : what_(what), spec_(spec), url_(what.url), end_(SteadyClock::now() + time_of(what, spec)) {}

  Result<Bytes> run() {
    easy_ = make_easy();
    if (!easy_) return fail(curl_error({.code = CURLE_FAILED_INIT}));
    if (auto ready = set_up(); !ready) return tl::unexpected(std::move(ready.error()));
    for (unsigned redirects = 0; redirects <= most_redirects; ++redirects) {
      if (auto checked = check_download_url(url_); !checked) return tl::unexpected(std::move(checked.error()));
      auto arrived = exchange();
      if (!arrived) return tl::unexpected(std::move(arrived.error()));
      if (*arrived) return std::move(arrival_.body);
    }
    return fail(cannot_fetch(Errc::server_protocol, what_.url, "it is redirected too often"));
  }

 private:
  Result<> set_up();
  /// True if the body is there, false if url_ is now where to look instead.
  Result<bool> exchange();
  Error explain(CURLcode code);

  const pki::Download& what_;
  const DownloadSpec& spec_;
  std::string url_;
  SteadyClock::time_point end_;
  std::array<char, CURL_ERROR_SIZE> text_{};
  Arrival arrival_;
  Lines lines_;
  Easy easy_;  // goes first: it writes into what is above
};

Result<> Fetch::set_up() {
  CurlOptions options(easy_.get());
  if (what_.body) {
    lines_.reset(curl_slist_append(nullptr, ("Content-Type: " + what_.media_type).c_str()));
    if (lines_) curl_slist_append(lines_.get(), "Expect:");
    options.set(CURLOPT_POST, 1L)
        .set(CURLOPT_POSTFIELDSIZE, static_cast<long>(what_.body->size()))
        .set(CURLOPT_POSTFIELDS, static_cast<const void*>(what_.body->data()))
        .set(CURLOPT_HTTPHEADER, lines_.get());
  }
  return options.set(CURLOPT_ERRORBUFFER, text_.data())
      .set(CURLOPT_NOSIGNAL, 1L)
      .set(CURLOPT_PROTOCOLS_STR, "http")
      .set(CURLOPT_FOLLOWLOCATION, 0L)
      .set(CURLOPT_NETRC, static_cast<long>(CURL_NETRC_IGNORED))
      .set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1))
      .set(CURLOPT_USERAGENT, "devid/" DEVID_VERSION)
      .set(CURLOPT_HEADERFUNCTION, &count_head)
      .set(CURLOPT_HEADERDATA, static_cast<void*>(&arrival_))
      .set(CURLOPT_WRITEFUNCTION, &take_body)
      .set(CURLOPT_WRITEDATA, static_cast<void*>(&arrival_))
      .set(CURLOPT_XFERINFOFUNCTION, &on_progress)
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): curl gives it back as it is
      .set(CURLOPT_XFERINFODATA, static_cast<void*>(const_cast<std::function<bool()>*>(&spec_.cancelled)))
      .set(CURLOPT_NOPROGRESS, 0L)
      .done();
}

Result<bool> Fetch::exchange() {
  const auto left = std::chrono::duration_cast<Milliseconds>(end_ - SteadyClock::now());
  if (left <= Milliseconds(0)) return fail(explain(CURLE_OPERATION_TIMEDOUT));
  arrival_ = Arrival{.limit = std::min(spec_.bytes, what_.limit)};
  text_.fill('\0');
  const auto proxy = spec_.proxy ? spec_.proxy() : Result<std::optional<Proxy>>(std::nullopt);
  if (!proxy) return fail(proxy.error());
  const auto ready = CurlOptions(easy_.get())
                         .set_proxy(*proxy, host_of(url_))
                         .set(CURLOPT_URL, url_.c_str())
                         .set(CURLOPT_TIMEOUT_MS, static_cast<long>(left.count()))
                         .done();
  if (!ready) return fail(ready.error());
  if (const CURLcode code = curl_easy_perform(easy_.get()); code != CURLE_OK) return fail(explain(code));

  long status = 0;
  const char* next = nullptr;
  curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
  curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &next);
  if (status == ok) return true;
  if (next != nullptr) {
    url_ = std::string(next);
    return false;
  }
  Errc code = Errc::server_protocol;
  if (status >= 400) code = status < 500 ? Errc::server_refused : Errc::server_unavailable;
  return fail(cannot_fetch(code, url_, "HTTP status " + std::to_string(status)));
}

Error Fetch::explain(CURLcode code) {
  if (code == CURLE_ABORTED_BY_CALLBACK)
    return {.code = Errc::cancelled, .retry = Retry::later, .what = "the job was cancelled"};
  if (arrival_.too_large) {
    const bool head = arrival_.head_bytes > head_limit;
    return cannot_fetch(Errc::answer_too_large, url_,
                        "it is longer than " + std::to_string(head ? head_limit : arrival_.limit) + " bytes" +
                            (head ? " of head" : ""));
  }
  Error error = curl_error({.code = code, .text = text_.data()});
  return cannot_fetch(error.code, url_, std::move(error.reason));
}

}  // namespace

Result<> check_download_url(std::string_view url) {
  if (url.size() > longest_url) return fail(unusable(url, "it is longer than 2048 characters"));
  if (!std::ranges::all_of(url, [](char c) { return c > ' ' && c < '\x7f'; }))
    return fail(unusable(url, "it has characters other than printable ASCII"));
  constexpr std::string_view start = "http://";
  // libcurl takes three slashes for two.
  if (ascii::lower(url.substr(0, start.size())) != start || url.substr(start.size()).starts_with('/'))
    return fail(unusable(url, "it does not start with http://HOST"));
  const Handle handle(curl_url());
  const CURLUcode code = curl_url_set(handle.get(), CURLUPART_URL, std::string(url).c_str(), 0);
  if (code != CURLUE_OK) return fail(unusable(url, curl_url_strerror(code)));
  if (part(handle.get(), CURLUPART_USER) || part(handle.get(), CURLUPART_PASSWORD))
    return fail(unusable(url, "it holds user information"));
  if (part(handle.get(), CURLUPART_ZONEID)) return fail(unusable(url, "it names an IPv6 zone"));
  const auto host = part(handle.get(), CURLUPART_HOST);
  if (!host || host->empty() || part(handle.get(), CURLUPART_PORT) == "0")
    return fail(unusable(url, "it names no host and port"));
  return {};
}

Result<Bytes> download(const pki::Download& what, const DownloadSpec& spec) { return Fetch(what, spec).run(); }

pki::Downloader downloader(DownloadSpec spec) {
  return [spec = std::move(spec)](const pki::Download& what) { return download(what, spec); };
}

}  // namespace devid::est
