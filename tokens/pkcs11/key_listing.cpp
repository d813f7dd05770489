#include "tokens/pkcs11/key_listing.h"

#include <algorithm>
#include <utility>

#include "tokens/pkcs11/key.h"

namespace devid::pkcs11 {
namespace {

constexpr std::size_t most_keys = 1024;

Result<PublicKey> listed_key(Session& session, const Object& key, const std::vector<Object>& beside) {
  if (key.name.id.empty() && key.name.label.empty()) {
    return fail({.code = Errc::token_unsupported,
                 .retry = Retry::after_operator,
                 .what = "the key has neither a CKA_ID nor a label",
                 .hint = "give it a CKA_ID by the token's own tool"});
  }
  auto facts = facts_of(session, key, beside);
  if (!facts) return fail(std::move(facts.error()));
  return std::move(facts->public_key);
}

}  // namespace

Result<std::vector<KeyListing>> list_keys(Session& session) {
  const auto of_class = [&](CK_OBJECT_CLASS type) {
    return session.find(std::move(Template().add(CKA_CLASS, CK_ULONG{type})), most_keys);
  };
  const auto keys = of_class(CKO_PRIVATE_KEY);
  if (!keys) return fail(keys.error());
  std::vector<Object> beside;
  for (const CK_OBJECT_CLASS type : {CKO_PUBLIC_KEY, CKO_CERTIFICATE}) {
    if (keys->empty()) break;
    auto objects = of_class(type);
    if (!objects) return fail(std::move(objects.error()));
    std::ranges::move(*objects, std::back_inserter(beside));
  }
  std::vector<KeyListing> listings;
  for (const Object& key : *keys) {
    auto public_key = listed_key(session, key, beside);
    if (session.is_lost()) return fail(std::move(public_key.error()));
    listings.push_back(
        {.location = listed_location(key.name, *keys, CKO_PRIVATE_KEY), .public_key = std::move(public_key)});
  }
  std::ranges::sort(listings, {}, &KeyListing::location);
  return listings;
}

}  // namespace devid::pkcs11
