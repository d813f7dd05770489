#include "agent/identity/refresh.h"

#include <algorithm>
#include <utility>

#include "agent/identity/contact.h"
#include "agent/identity/credential.h"
#include "agent/pki/chain.h"

namespace devid::identity {
namespace {

/// What /cacerts says, to the current credential.
Result<Contact> contact_as(const Workplace& place, const Generation& current) {
  auto token = find_token(place.tokens, current.provenance.token);
  if (!token) return fail(std::move(token.error()));
  auto credential = open_ldevid(**token, current);
  if (!credential) return fail(std::move(credential.error()));
  auto key = SigningKey::wrap(*credential->key);
  if (!key) return fail(std::move(key.error()));
  auto reached = contact(
      place, est::ClientCredential{.certificate = credential->certificate, .chain = credential->chain, .key = &**key},
      current.provenance.server);
  if (reached) reached->session.reset();  // before the key that it borrows
  return reached;
}

}  // namespace

Result<Refreshed> refresh(const Workplace& place, const Generation& current) {
  if (auto entered = enter(place, Phase::connecting); !entered) return fail(std::move(entered.error()));
  if (auto entered = enter(place, Phase::ca_certificates); !entered) return fail(std::move(entered.error()));
  const auto reached = contact_as(place, current);
  if (!reached) return fail(reached.error());
  auto checked = check_own_revocation(place, current.leaf, current.chain, reached->anchors);
  if (!checked && checked.error().code == Errc::certificate_revoked)
    return Refreshed{.revocation = std::move(checked.error())};
  if (!checked) return fail(std::move(checked.error()));
  if (std::ranges::is_permutation(current.anchors, reached->anchors)) return Refreshed{};
  auto chain = pki::build_chain(current.leaf, current.chain, reached->anchors, place.clock.now());
  if (!chain) return fail(while_doing("use the CA's new trust anchors", std::move(chain.error())));
  place.observer.entered(Phase::installing);
  Generation changed = current;
  changed.chain = std::move(*chain);
  changed.anchors = reached->anchors;
  const auto number = install(place, changed);
  if (!number) return fail(number.error());
  return Refreshed{};
}

}  // namespace devid::identity
