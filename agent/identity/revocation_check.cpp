#include "agent/identity/revocation_check.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "agent/est/download.h"
#include "agent/identity/access.h"
#include "agent/pki/chain.h"

namespace devid::identity {
namespace {

using std::chrono::steady_clock;

/// For one look at a responder or a list.
constexpr Seconds download_time{5};

void tell_unknown(const Workplace& place, const Error& error) {
  notice(place, "goes on without knowing: " + error.sentence(),
         {{.name = "DEVID_ERROR", .value = std::string(code_name(error.code))}});
}

/// The means of a check under one policy. What a URL costs is within the limits of a download.
pki::RevocationSources sources_for(const Workplace& place, pki::RevocationPolicy policy, steady_clock::time_point end) {
  return {.policy = policy,
          .download = est::downloader({.time = download_time,
                                       .proxy = [&server = place.profile.server] { return proxy_of(server); },
                                       .cancelled = [&observer = place.observer] { return observer.cancelled(); }}),
          .cache = place.revocation_cache,
          .now = place.clock.now(),
          .end = end,
          .unreached = &place.memory.unreached,
          .on_unknown = [&place](const Error& error) { tell_unknown(place, error); }};
}

/// A chain that cannot be built any more is one that cannot be asked about.
Result<> settle_unknown(const Workplace& place, const pki::Certificate& leaf, const Error& error) {
  Error unknown{.code = Errc::revocation_unknown,
                .retry = Retry::later,
                .what = "it cannot be found out whether the certificate of " + leaf.subject() + " is revoked",
                .reason = error.sentence(),
                .hint = "does the certificate still chain to what the CA offers?"};
  if (place.profile.revocation == pki::RevocationPolicy::hard) return fail(std::move(unknown));
  tell_unknown(place, unknown);
  return {};
}

}  // namespace

Result<> check_server_revocation(const Workplace& place, const std::vector<pki::Certificate>& chain,
                                 BytesView stapled) {
  const Server& server = place.profile.server;
  const auto end = steady_clock::now() + (std::chrono::milliseconds(server.connect_timeout) / 2);
  const auto sources = sources_for(place, server.revocation, std::min(end, place.memory.deadline.value_or(end)));
  return pki::check_revocation(chain, stapled, sources);
}

Result<> check_own_revocation(const Workplace& place, const pki::Certificate& leaf,
                              const std::vector<pki::Certificate>& pool, const std::vector<pki::Certificate>& anchors) {
  if (place.profile.revocation == pki::RevocationPolicy::off) return {};
  const Time now = place.clock.now();
  const auto between = pki::build_chain(leaf, pool, anchors, now);
  if (!between) return settle_unknown(place, leaf, between.error());
  std::vector<pki::Certificate> path{leaf};
  path.insert(path.end(), between->begin(), between->end());
  const auto anchor = std::ranges::find_if(
      anchors, [&](const pki::Certificate& each) { return pki::verify_path(path, each, now).has_value(); });
  if (anchor != anchors.end()) path.push_back(*anchor);
  const auto end = steady_clock::now() + place.profile.server.timeout;
  return pki::check_revocation(path, {}, sources_for(place, place.profile.revocation, end));
}

}  // namespace devid::identity
