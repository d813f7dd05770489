#include "agent/identity/application.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "agent/identity/idevid.h"
#include "agent/identity/wish.h"
#include "agent/pki/csr_attributes.h"

namespace devid::identity {
namespace {

Result<Credential> open_current(const Workplace& place, const std::optional<Generation>& current) {
  if (!current)
    return fail({.code = Errc::wrong_state, .retry = Retry::never, .what = "there is no credential to renew"});
  auto token = find_token(place.tokens, current->provenance.token);
  if (!token) return fail(std::move(token.error()));
  return open_ldevid(**token, *current);
}

Result<Credential> open_factory_identity(const Workplace& place) {
  auto wanted = resolve_token(place.tokens, place.profile.idevid, place.profile.token);
  if (!wanted) return fail(std::move(wanted.error()));
  return open_idevid({.tokens = place.tokens,
                      .wanted = std::move(*wanted),
                      .files = place.idevid_certificates,
                      .now = place.clock.now()},
                     place.idevid_memory, place.observer);
}

/// Opens the IDevID, or the current credential, in the token that holds it.
Result<std::optional<Credential>> open_credential(const Workplace& place, JobKind kind,
                                                  const std::optional<Generation>& current) {
  if (kind == JobKind::enroll && !place.profile.server.authentication.with_idevid) return std::optional<Credential>();
  auto opened = kind == JobKind::renew ? open_current(place, current) : open_factory_identity(place);
  if (!opened) return fail(std::move(opened.error()));
  return std::optional(std::move(*opened));
}

/// /csrattrs is optional (RFC 7030 2.6): a server that answers nonsense there may enroll well. A connection that is
/// broken or a server that is no longer trusted is another matter.
bool is_dispensable(Errc code) {
  switch (code) {
    case Errc::network_timeout:
    case Errc::server_unavailable:
    case Errc::server_refused:
    case Errc::server_unauthorized:
    case Errc::server_protocol:
    case Errc::answer_too_large:
    case Errc::answer_malformed: return true;
    default: return false;
  }
}

Result<pki::CsrAttributes> ask_wishes(const Workplace& place, est::Session& session) {
  const auto der = session.csr_attributes();
  auto attributes = der ? pki::read_csr_attributes(*der) : Result<pki::CsrAttributes>(fail(der.error()));
  if (attributes) {
    for (const std::string& ignored : attributes->ignored)
      notice(place, "the server asks in /csrattrs for what devid does not know, and goes without: " + ignored);
    return attributes;
  }
  if (!is_dispensable(attributes.error().code)) return attributes;
  notice(place, "goes on without the server's wishes for the request: " + attributes.error().sentence(),
         {{.name = "DEVID_ERROR", .value = std::string(code_name(attributes.error().code))}});
  return pki::CsrAttributes{};
}

Result<pki::RequestPlan> make_plan(const Workplace& place, JobKind kind, const std::optional<Credential>& credential,
                                   est::Session& session, const Request* earlier) {
  auto wish = wish_of(place.profile, kind, credential ? std::optional(credential->certificate) : std::nullopt);
  if (!wish) return fail(std::move(wish.error()));
  if (earlier != nullptr) {
    std::ranges::stable_partition(wish->algorithms, [&](KeyAlgorithm algorithm) {
      return algorithm == earlier->provenance.public_key.algorithm;
    });
  }
  const auto wanted = ask_wishes(place, session);
  if (!wanted) return fail(wanted.error());
  auto plan = pki::plan_request(*wanted, *wish);
  if (!plan) return plan;
  for (const std::string& remark : plan->remarks) notice(place, remark);
  return plan;
}

}  // namespace

Result<Application> apply(const Workplace& place, JobKind kind, const Request* earlier) {
  if (auto entered = enter(place, Phase::connecting); !entered) return fail(std::move(entered.error()));
  auto token = find_token(place.tokens, place.profile.token);
  if (!token) return fail(std::move(token.error()));
  auto read = place.store.current();
  if (!read) return fail(std::move(read.error()));
  std::optional<Generation>& current = *read;
  auto opened = open_credential(place, kind, current);
  if (!opened) return fail(std::move(opened.error()));
  std::optional<Credential>& credential = *opened;
  std::unique_ptr<SigningKey> signing_key;
  std::optional<est::ClientCredential> client;
  if (credential) {
    auto wrapped = SigningKey::wrap(*credential->key);
    if (!wrapped) return fail(std::move(wrapped.error()));
    signing_key = std::move(*wrapped);
    client = est::ClientCredential{
        .certificate = credential->certificate, .chain = credential->chain, .key = signing_key.get()};
  }
  if (auto entered = enter(place, Phase::ca_certificates); !entered) return fail(std::move(entered.error()));
  const std::string before = earlier == nullptr ? std::string() : earlier->provenance.server;
  auto reached = contact(place, client, place.begin_at.empty() ? before : place.begin_at);
  if (!reached) return fail(std::move(reached.error()));
  auto plan = make_plan(place, kind, credential, *reached->session, earlier);
  if (!plan) return fail(std::move(plan.error()));
  const std::uint64_t next_generation = (current ? current->number : 0) + 1;
  return Application{.kind = kind,
                     .token = *token,
                     .credential = std::move(credential),
                     .signing_key = std::move(signing_key),
                     .current = std::move(current),
                     .next_generation = next_generation,
                     .contact = std::move(*reached),
                     .plan = std::move(*plan)};
}

}  // namespace devid::identity
