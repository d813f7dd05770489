#include "agent/identity/rollback.h"

#include <fmt/chrono.h>

#include <optional>
#include <ranges>
#include <utility>

#include "agent/identity/credential.h"
#include "agent/identity/workplace.h"

namespace devid::identity {
namespace {

Error impossible(std::string why, std::string hint) {
  return {.code = Errc::wrong_state, .retry = Retry::never, .what = std::move(why), .hint = std::move(hint)};
}

Result<std::optional<Generation>> find_previous(const Store& store, const Generation& current) {
  const auto numbers = store.generations();
  if (!numbers) return fail(numbers.error());
  for (const std::uint64_t number : *numbers | std::views::reverse) {
    if (number >= current.number) continue;
    auto generation = store.generation(number);
    if (generation && generation->leaf != current.leaf) return std::optional(std::move(*generation));
    if (!generation && generation.error().code == Errc::storage_failed) return fail(std::move(generation.error()));
  }
  return std::nullopt;
}

Result<> prove(const Tokens& tokens, const Generation& generation) {
  auto token = find_token(tokens, generation.provenance.token);
  if (!token) return fail(std::move(token.error()));
  auto key = (*token)->open_key(generation.token_key_pem);
  if (!key) return fail(std::move(key.error()));
  return prove_possession(**key, generation.leaf);
}

}  // namespace

Result<std::uint64_t> roll_back(Store& store, const Tokens& tokens, const Generation& current, Time now) {
  const auto found = find_previous(store, current);
  if (!found) return fail(found.error());
  const std::optional<Generation>& previous = *found;
  if (!previous) {
    return fail(impossible("there is no previous generation any more",
                           "renewal.keep_old in the profile says how long one is kept; devidctl renew gets another"));
  }
  if (now > previous->leaf.not_after()) {
    return fail(impossible(fmt::format("the certificate of generation {} has expired on {:%Y-%m-%d %H:%M:%S} UTC",
                                       previous->number, previous->leaf.not_after()),
                           "devidctl renew gets another"));
  }
  if (auto proven = prove(tokens, *previous); !proven) {
    const Errc code = proven.error().code;
    if (code != Errc::token_no_such_key && code != Errc::token_wrong_key) return fail(std::move(proven.error()));
    return fail(impossible(
        fmt::format("the key of generation {} does not sign any more: {}", previous->number, proven.error().sentence()),
        "devidctl renew gets another"));
  }
  if (auto done = store.roll_back(previous->number, now); !done) return fail(std::move(done.error()));
  return previous->number;
}

}  // namespace devid::identity
