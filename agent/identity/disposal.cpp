#include "agent/identity/disposal.h"

#include <optional>
#include <set>
#include <string>
#include <utility>

namespace devid::identity {
namespace {

/// Destroys a key that none of these is. `in_use` is an error if that cannot be said.
void destroy_unless(const Result<std::set<std::string>>& in_use, const Workplace& place, const std::string& name,
                    const std::string& pem) {
  if (in_use && in_use->contains(pem)) return;
  const auto token = find_token(place.tokens, name);
  if (in_use && token) {
    destroy_key(place, **token, name, pem);
  } else {
    place.abandoned_keys.add({.token = name, .token_key_pem = pem});
  }
}

}  // namespace

Result<> abandon(const Workplace& place, const Request& request) {
  auto in_use = place.store.keys_of_generations();
  const auto candidate = place.store.candidate();
  const std::optional<Generation> kept = candidate ? *candidate : std::nullopt;
  if (in_use && kept) in_use->insert(kept->token_key_pem);
  if (!candidate && candidate.error().code != Errc::state_corrupt) in_use = fail(candidate.error());
  destroy_unless(in_use, place, request.provenance.token, request.token_key_pem);
  return place.store.discard_request();
}

Result<> abandon(const Workplace& place, const Generation& candidate) {
  const auto request = place.store.request();
  const std::optional<Request> waiting = request ? *request : std::nullopt;
  if (waiting && waiting->token_key_pem == candidate.token_key_pem)
    if (auto discarded = place.store.discard_request(); !discarded) return discarded;
  destroy_unless(place.store.keys_of_generations(), place, candidate.provenance.token, candidate.token_key_pem);
  return place.store.discard_candidate();
}

Result<> spare_keys_in_use(const Store& store, AbandonedKeys& abandoned) {
  const auto keys = store.keys_in_use();
  if (!keys) return fail(keys.error());
  for (const std::string& pem : *keys) abandoned.keep(pem);
  return {};
}

}  // namespace devid::identity
