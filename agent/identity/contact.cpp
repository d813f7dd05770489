#include "agent/identity/contact.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ranges>
#include <utility>

#include "agent/est/first_contact.h"
#include "agent/identity/access.h"
#include "agent/identity/anchors.h"
#include "agent/identity/revocation_check.h"
#include "agent/pki/rollover.h"

namespace devid::identity {
namespace {

using std::chrono::steady_clock;

/// Of one /cacerts, that are said.
constexpr std::size_t most_remarks = 8;

/// Whom the device trusts at one server.
struct Trust {
  std::vector<pki::Certificate> server;  ///< that the server's certificate must chain to
  bool system = false;                   ///< or to the system's own
  std::vector<pki::Certificate> issuer;  ///< that the issued certificate must chain to; empty: what /cacerts says
};

// --- trust ---

Error unaccepted(const Workplace& place, const std::string& server, const std::vector<pki::Certificate>& seen) {
  std::string list;
  for (const auto& certificate : seen)
    if (certificate.is_self_issued())
      list += fmt::format("{}{} with SHA-256 {}", list.empty() ? "" : ", ", certificate.subject(),
                          certificate.fingerprint());
  return {
      .code = Errc::trust_missing,
      .retry = Retry::after_operator,
      .what =
          fmt::format("nobody has accepted yet that {} is the EST server of identity '{}'", server, place.profile.name),
      .reason = "it says of itself that its CA is " + (list.empty() ? "none that is self-signed" : list),
      .hint = fmt::format("compare the fingerprint with the CA's own, then devidctl trust {} --fingerprint SHA-256; "
                          "or name the CA's certificate in the profile's server.trust_anchors",
                          place.profile.name)};
}

/// Asks a server that nobody knows for its CA certificates. One of a fingerprint that the profile names is accepted.
Result<std::vector<pki::Certificate>> meet(const Workplace& place, const est::Endpoint& endpoint,
                                           const std::string& fingerprint, const est::Limits& limits) {
  auto proxy = proxy_of(place.profile.server);
  if (!proxy) return fail(std::move(proxy.error()));
  auto seen = est::fetch_unverified({.endpoint = endpoint,
                                     .proxy = std::move(*proxy),
                                     .tls = place.profile.server.tls,
                                     .limits = limits,
                                     .cancelled = [&observer = place.observer] { return observer.cancelled(); },
                                     .meter = &place.traffic});
  if (!seen) return fail(std::move(seen.error()));
  const auto known = std::ranges::find(*seen, fingerprint, &pki::Certificate::fingerprint);
  if (known != seen->end()) {
    if (auto kept = place.trust.pin(*known, endpoint.base, place.clock.now()); !kept)
      return fail(std::move(kept.error()));
    return std::vector{*known};
  }
  if (auto kept = place.trust.saw(endpoint.base, *seen, place.clock.now()); !kept) return fail(std::move(kept.error()));
  return fail(unaccepted(place, endpoint.base, *seen));
}

/// The anchors that the profile names for the server itself; none if it names none.
Result<std::vector<pki::Certificate>> configured_anchors(const Server& server) {
  const auto* files = std::get_if<AnchorFiles>(&server.trust);
  return files == nullptr ? std::vector<pki::Certificate>() : read_anchors(files->path);
}

Result<std::vector<pki::Certificate>> server_anchors(const Workplace& place, const est::Endpoint& endpoint,
                                                     const est::Limits& limits) {
  auto configured = configured_anchors(place.profile.server);
  if (!configured) return configured;
  const auto* first = std::get_if<FirstContact>(&place.profile.server.trust);
  if (first != nullptr)
    if (auto known = place.trust.pinned(first->fingerprint, endpoint.base)) configured->push_back(std::move(*known));
  // An operator's word counts where the profile leaves it to the operator.
  auto trusted = place.trust.anchors(*configured, first != nullptr ? endpoint.base : "", place.clock.now());
  if (trusted || first == nullptr) return trusted;
  return meet(place, endpoint, first->fingerprint, limits);
}

/// What an issued certificate must chain to, where the server is trusted by `server`. Where the system vouches for the
/// server, it is believed what it says of its CA at first, and later no more than follows from that; another server, or
/// one that somebody insists on, is met as for the first time.
Result<std::vector<pki::Certificate>> issuer_anchors(const Workplace& place, const est::Endpoint& endpoint,
                                                     const Trust& trust) {
  const auto& file = place.profile.trust_anchors;
  if (!file.empty()) {
    auto configured = read_anchors(file);
    if (!configured) return configured;
    return place.trust.anchors(*configured, "", place.clock.now());
  }
  if (!trust.system) return trust.server;
  const auto read = place.store.current();
  if (!read) return fail(read.error());
  const std::optional<Generation>& current = *read;
  if (!current || place.begins_anew || current->provenance.server != endpoint.base)
    return std::vector<pki::Certificate>();
  return current->anchors;
}

Result<Trust> trust_at(const Workplace& place, const est::Endpoint& endpoint, const est::Limits& limits) {
  Trust trust{.system = std::holds_alternative<SystemAnchors>(place.profile.server.trust)};
  if (!trust.system) {
    auto server = server_anchors(place, endpoint, limits);
    if (!server) return fail(std::move(server.error()));
    trust.server = std::move(*server);
  }
  auto issuer = issuer_anchors(place, endpoint, trust);
  if (!issuer) return fail(std::move(issuer.error()));
  trust.issuer = std::move(*issuer);
  return trust;
}

/// Certificates of /cacerts that are trusted for nothing: a new root without a link that holds, for one.
void say_what_was_passed_over(const Workplace& place, const std::vector<std::string>& remarks) {
  if (remarks.empty()) return;
  notice(place, fmt::format("the CA offers what is not trusted, {} in all: {}", remarks.size(),
                            fmt::join(remarks | std::views::take(most_remarks), "; ")));
}

/// A CA that has changed its root: what is new is kept, and said.
Result<> follow(const Workplace& place, Contact& contact, const std::vector<pki::Certificate>& offered) {
  const Time now = place.clock.now();
  // A server that the system's anchors vouch for is believed what it says of its CA (RFC 7030 4.1.1).
  if (contact.anchors.empty()) {
    std::ranges::copy_if(offered, std::back_inserter(contact.anchors), &pki::Certificate::is_self_issued);
    if (contact.anchors.empty()) {
      return fail({.code = Errc::trust_missing,
                   .retry = Retry::after_operator,
                   .what = "the server's CA certificates have no root among them",
                   .reason = std::to_string(offered.size()) + " certificates, none self-signed",
                   .hint = "name the CA's root in the profile's certificate.trust_anchors"});
    }
  }
  pki::Rollover rollover = pki::follow_rollover(contact.anchors, offered, now);
  for (const auto& added : rollover.added) {
    notice(place,
           fmt::format("the CA has a new root, {}, which an old one vouches for: it is trusted from now on",
                       added.subject()),
           {{.name = "DEVID_FINGERPRINT", .value = added.fingerprint()}});
  }
  say_what_was_passed_over(place, rollover.remarks);
  // What cannot be remembered is proven again by the next job, as long as the server offers the link.
  if (auto kept = place.trust.learn(rollover, contact.server, now); !kept)
    notice(place, "goes on with what cannot be remembered: " + kept.error().sentence(),
           {{.name = "DEVID_ERROR", .value = std::string(code_name(kept.error().code))}});
  contact.anchors = std::move(rollover.anchors);
  contact.intermediates = offered;
  return {};
}

// --- one server after the other ---

/// Whether another server may do better. A proxy that cannot reach this one may reach that one, or is not on its way; a
/// proxy that does not accept this device is asked no further.
bool is_of_this_server(const Error& error) {
  switch (error.code) {
    case Errc::proxy_failed: return error.retry == Retry::later;
    case Errc::network_unreachable:
    case Errc::network_timeout:
    case Errc::tls_untrusted:
    case Errc::tls_failed:
    case Errc::trust_missing:
    case Errc::certificate_revoked:
    case Errc::revocation_unknown:
    case Errc::server_unavailable:
    case Errc::server_refused:
    case Errc::server_unauthorized:
    case Errc::server_protocol:
    case Errc::answer_too_large:
    case Errc::answer_malformed: return true;
    default: return false;
  }
}

/// A server that an operator could accept, although another one does the work.
void say_whom_nobody_knows(const Workplace& place, const std::vector<Error>& errors) {
  for (const Error& error : errors)
    if (error.code == Errc::trust_missing)
      notice(place, "goes on with another server: " + error.sentence(),
             {{.name = "DEVID_ERROR", .value = std::string(code_name(error.code))}});
}

/// How much an error tells of what has to be done: somebody has to accept a server, a server has said no, or there was
/// none.
int weight(const Error& error) {
  switch (error.code) {
    case Errc::trust_missing: return 2;
    case Errc::network_unreachable:
    case Errc::network_timeout:
    case Errc::proxy_failed: return 0;
    default: return 1;
  }
}

/// One error for all servers: the first of those that tell most. The others are named. Another one may come back by
/// itself: then nobody waits for the operator alone.
Error of_all(std::vector<Error> errors) {
  const auto chosen = std::ranges::max_element(errors, {}, weight);
  std::rotate(errors.begin(), chosen, chosen + 1);
  Error error = std::move(errors.front());
  for (const Error& other : errors | std::views::drop(1)) {
    error.reason += (error.reason.empty() ? "and then " : "; and then ") + other.sentence();
    if (other.retry == Retry::later) error.retry = Retry::later;
  }
  return error;
}

Result<std::unique_ptr<est::Session>> open_session(const Workplace& place,
                                                   const std::optional<est::ClientCredential>& client,
                                                   const est::Endpoint& endpoint, const Trust& trust,
                                                   const est::Limits& limits) {
  const Server& server = place.profile.server;
  auto authentication = http_authentication(server.authentication);
  if (!authentication) return fail(std::move(authentication.error()));
  auto proxy = proxy_of(server);
  if (!proxy) return fail(std::move(proxy.error()));
  est::SessionSpec spec{.endpoint = endpoint,
                        .anchors = trust.server,
                        .system_anchors = trust.system,
                        .client = client,
                        .authentication = std::move(*authentication),
                        .proxy = std::move(*proxy),
                        .tls = server.tls,
                        .limits = limits,
                        .on_remark =
                            [&place](const std::string& remark) {
                              notice(place, "passes over a certificate that the server offers: " + remark);
                            },
                        .cancelled = [&observer = place.observer] { return observer.cancelled(); },
                        .meter = &place.traffic};
  if (server.revocation != pki::RevocationPolicy::off) {
    spec.check_server = [&place](const auto& chain, BytesView stapled) {
      return check_server_revocation(place, chain, stapled);
    };
  }
  if (server.channel_binding == ChannelBinding::tls_unique) spec.binding = est::BindingKind::tls_unique;
  if (server.channel_binding == ChannelBinding::tls_exporter) spec.binding = est::BindingKind::tls_exporter;
  return est::Session::create(std::move(spec));
}

Result<Contact> contact_one(const Workplace& place, const std::optional<est::ClientCredential>& client,
                            const est::Endpoint& endpoint, const est::Limits& limits) {
  auto trust = trust_at(place, endpoint, limits);
  if (!trust) return fail(std::move(trust.error()));
  auto session = open_session(place, client, endpoint, *trust, limits);
  if (!session) return fail(std::move(session.error()));
  const auto offered = (*session)->ca_certificates();
  if (!offered) return fail(offered.error());
  Contact made{.server = endpoint.base, .session = std::move(*session), .anchors = std::move(trust->issuer)};
  if (auto followed = follow(place, made, *offered); !followed) return fail(std::move(followed.error()));
  place.memory.server = made.server;
  return made;
}

}  // namespace

Result<Contact> contact(const Workplace& place, const std::optional<est::ClientCredential>& client,
                        std::string_view first) {
  const Server& server = place.profile.server;
  std::vector<est::Endpoint> endpoints = server.endpoints;
  const auto start = std::ranges::find(endpoints, first, &est::Endpoint::base);
  if (start != endpoints.end()) std::ranges::rotate(endpoints, start);
  const auto deadline = steady_clock::now() + server.deadline;
  place.memory.deadline = deadline;
  const est::Limits limits{
      .connect_timeout = server.connect_timeout, .request_timeout = server.timeout, .deadline = deadline};
  std::vector<Error> errors;
  for (const est::Endpoint& endpoint : endpoints) {
    auto made = contact_one(place, client, endpoint, limits);
    if (made) say_whom_nobody_knows(place, errors);
    if (made || made.error().code == Errc::cancelled) return made;
    errors.push_back(std::move(made.error()));
    if (!is_of_this_server(errors.back()) || steady_clock::now() >= deadline) break;
  }
  return fail(of_all(std::move(errors)));
}

}  // namespace devid::identity
