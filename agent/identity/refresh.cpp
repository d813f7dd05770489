#include "agent/identity/refresh.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "agent/identity/contact.h"
#include "agent/identity/credential.h"
#include "agent/identity/revocation_check.h"
#include "agent/pki/chain.h"

namespace devid::identity {
namespace {

/// What /cacerts says, to the current credential.
struct Told {
  std::vector<pki::Certificate> anchors;
  std::vector<pki::Certificate> pool;  ///< for building chains: what it offers, and the chain that is there
};
Result<Told> ask_as(const Workplace& place, const Generation& current) {
  auto token = find_token(place.tokens, current.provenance.token);
  if (!token) return fail(std::move(token.error()));
  auto credential = open_ldevid(**token, current);
  if (!credential) return fail(std::move(credential.error()));
  auto key = SigningKey::wrap(*credential->key);
  if (!key) return fail(std::move(key.error()));
  auto reached = contact(
      place, est::ClientCredential{.certificate = credential->certificate, .chain = credential->chain, .key = &**key},
      current.provenance.server);
  if (!reached) return fail(std::move(reached.error()));
  Told told{.anchors = std::move(reached->anchors), .pool = current.chain};
  std::ranges::move(reached->intermediates, std::back_inserter(told.pool));
  return told;
}

/// Makes a generation of them, if they are others than before.
Result<> take_anchors(const Workplace& place, const Generation& current, const Told& told) {
  if (std::ranges::is_permutation(current.anchors, told.anchors)) return {};
  auto chain = pki::build_chain(current.leaf, told.pool, told.anchors, place.clock.now());
  if (!chain) return fail(while_doing("use the CA's new trust anchors", std::move(chain.error())));
  place.observer.entered(Phase::installing);
  Generation changed = current;
  changed.chain = std::move(*chain);
  changed.anchors = told.anchors;
  const auto number = install(place, changed);
  if (!number) return fail(number.error());
  return {};
}

}  // namespace

Result<Refreshed> refresh(const Workplace& place, const Generation& current) {
  if (auto entered = enter(place, Phase::connecting); !entered) return fail(std::move(entered.error()));
  if (auto entered = enter(place, Phase::ca_certificates); !entered) return fail(std::move(entered.error()));
  const auto told = ask_as(place, current);
  if (!told) return fail(told.error());
  auto checked = check_own_revocation(place, current.leaf, told->pool, told->anchors);
  if (!checked && checked.error().code == Errc::certificate_revoked)
    return Refreshed{.revocation = std::move(checked.error())};
  // What is not known of the certificate is no reason to keep a new root from those who verify by it.
  if (auto taken = take_anchors(place, current, *told); !taken) return fail(std::move(taken.error()));
  if (!checked) return fail(std::move(checked.error()));
  return Refreshed{};
}

}  // namespace devid::identity
