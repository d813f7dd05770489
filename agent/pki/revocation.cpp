#include "agent/pki/revocation.h"

#include <algorithm>
#include <array>

#include "agent/pki/crl.h"
#include "agent/pki/ocsp.h"
#include "agent/pki/revocation_urls.h"

namespace devid::pki {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::size_t urls_of_a_kind = 3;
constexpr unsigned most_downloads = 12;
constexpr std::size_t longest_detail = 200;

/// One place that may know, and how its answer is read.
struct Place {
  std::string key;  ///< in the cache
  Download download;
  Result<RevocationStatement> (*read)(BytesView, const RevocationQuestion&);
};

bool is_http(std::string_view url) {
  constexpr std::string_view scheme = "http://";
  return std::ranges::equal(url.substr(0, scheme.size()), scheme,
                            [](char a, char b) { return a == b || (a >= 'A' && a <= 'Z' && a + ('a' - 'A') == b); });
}

/// The first few that can be used: CAs also name LDAP directories, and https, which would need the answer first
/// (RFC 5280 8).
std::vector<std::string> usable(std::vector<std::string> urls) {
  std::erase_if(urls, [](const std::string& url) { return !is_http(url); });
  if (urls.size() > urls_of_a_kind) urls.resize(urls_of_a_kind);
  return urls;
}

std::vector<Place> places_of(const RevocationQuestion& question) {
  const RevocationUrls urls = revocation_urls(question.subject);
  std::vector<Place> places;
  const auto request = make_ocsp_request(question.subject, question.issuer);
  for (const std::string& url : usable(request ? urls.ocsp : std::vector<std::string>())) {
    places.push_back({.key = "ocsp " + question.subject.fingerprint() + " " + url,
                      .download = {.url = url,
                                   .media_type = "application/ocsp-request",
                                   .body = *request,
                                   .limit = longest_ocsp_response},
                      .read = &read_ocsp_response});
  }
  for (const std::string& url : usable(urls.crl))
    places.push_back({.key = "crl " + url, .download = {.url = url, .limit = longest_crl}, .read = &read_crl});
  return places;
}

std::string memory_of(const RevocationQuestion& question) { return "revoked " + question.subject.fingerprint(); }

/// Whether a place is better left alone for a while: nothing came from there.
bool is_unreached(Errc code) {
  return code == Errc::network_unreachable || code == Errc::network_timeout || code == Errc::proxy_failed;
}

Error revoked(const RevocationQuestion& question, std::string_view detail) {
  return {.code = Errc::certificate_revoked,
          .retry = Retry::after_operator,
          .what = "the certificate of " + question.subject.subject() + " is revoked",
          .reason = std::string(detail) + ", by " + question.subject.issuer(),
          .hint = "its holder needs another certificate from its CA; do not trust this one"};
}

class Check {
 public:
  explicit Check(const RevocationSources& sources) : sources_(sources) {}

  /// Errors: certificate_revoked and cancelled, which end it all; revocation_unknown.
  Result<> certificate(const RevocationQuestion& question, BytesView stapled) {
    if (const auto known = sources_.cache.find(memory_of(question), question.now, Seconds::max()))
      return fail(revoked(question, printable(as_text(*known), longest_detail)));
    const auto statement = ask(question, stapled);
    if (!statement) return fail(statement.error());
    if (!statement->revoked) return {};
    if (!statement->on_hold)
      sources_.cache.keep(memory_of(question), as_bytes(statement->detail), question.subject.not_after(), question.now,
                          Seconds::max());
    return fail(revoked(question, statement->detail));
  }
  /// Whether the last certificate said where to ask.
  [[nodiscard]] bool had_places() const { return had_places_; }

 private:
  Result<RevocationStatement> ask(const RevocationQuestion& question, BytesView stapled) {
    std::string reasons;
    const auto note = [&reasons](const std::string& place, const Error& error) {
      reasons.append(reasons.empty() ? "" : "; ").append(place).append(": ").append(error.sentence());
    };
    if (!stapled.empty()) {
      auto statement = read_ocsp_response(stapled, question);
      if (statement) return statement;
      note("stapled", statement.error());
    }
    const auto places = places_of(question);
    had_places_ = !places.empty();
    for (const Place& place : places) {
      auto statement = consult(place, question);
      if (statement || statement.error().code == Errc::cancelled) return statement;
      note(printable(place.download.url, 100), statement.error());
    }
    if (reasons.empty()) reasons = "the certificate names no OCSP responder and no CRL at an http URL";
    return fail(
        {.code = Errc::revocation_unknown,
         .retry = Retry::later,
         .what = "it cannot be found out whether the certificate of " + question.subject.subject() + " is revoked",
         .reason = std::move(reasons),
         .hint = "can this device reach the OCSP responder or the CRL that the certificate names?"});
  }

  Result<RevocationStatement> consult(const Place& place, const RevocationQuestion& question) {
    if (const auto kept = sources_.cache.find(place.key, question.now)) {
      if (auto statement = place.read(*kept, question)) return statement;
      sources_.cache.drop(place.key);
    }
    auto body = download(place.download);
    if (!body) return fail(std::move(body.error()));
    auto statement = place.read(*body, question);
    if (statement) sources_.cache.keep(place.key, *body, statement->until, question.now);
    return statement;
  }

  Result<Bytes> download(Download what) {
    if (downloads_left_ == 0) return fail(unusable_statement("too many places were asked already"));
    if (sources_.unreached != nullptr && sources_.unreached->contains(what.url))
      return fail(unusable_statement("it did not answer before, and is not asked again so soon"));
    if (sources_.end) {
      what.time = std::chrono::duration_cast<milliseconds>(*sources_.end - steady_clock::now()) / 2;
      if (*what.time <= milliseconds(0)) return fail(unusable_statement("no time is left to ask it"));
    }
    --downloads_left_;
    auto body = sources_.download(what);
    if (!body && sources_.unreached != nullptr && is_unreached(body.error().code))
      sources_.unreached->insert(std::move(what.url));
    return body;
  }

  const RevocationSources& sources_;
  bool had_places_ = false;
  unsigned downloads_left_ = most_downloads;
};

}  // namespace

Result<> check_revocation(const std::vector<Certificate>& chain, BytesView stapled, const RevocationSources& sources) {
  if (sources.policy == RevocationPolicy::off) return {};
  Check check(sources);
  std::optional<Error> unknown;
  bool was_asked = false;
  for (std::size_t i = 0; i + 1 < chain.size(); ++i) {
    const RevocationQuestion question{.subject = chain[i], .issuer = chain[i + 1], .now = sources.now};
    auto checked = check.certificate(question, i == 0 ? stapled : BytesView());
    if (checked) continue;
    if (checked.error().code != Errc::revocation_unknown) return checked;
    was_asked = was_asked || check.had_places();
    if (!unknown) {
      unknown = std::move(checked.error());
    } else {
      unknown->reason.append("; ").append(checked.error().sentence());
    }
  }
  if (!unknown) return {};
  if (sources.policy == RevocationPolicy::hard) return fail(std::move(*unknown));
  if (was_asked && sources.on_unknown) sources.on_unknown(*unknown);
  return {};
}

}  // namespace devid::pki
