#include "agent/identity/retirement.h"

#include <algorithm>
#include <map>
#include <utility>

#include "agent/identity/disposal.h"

namespace devid::identity {
namespace {

constexpr Time end_of_time{Seconds(253402300799)};  // 9999-12-31 23:59:59, RFC 5280 4.1.2.5

/// From when on each generation was not the current one any more; those that still are, or are damaged, are not there.
class Succession {
 public:
  static Result<Succession> of(const Store& store) {
    Succession succession;
    const auto numbers = store.generations();
    if (!numbers) return fail(numbers.error());
    const auto current = store.current();
    if (!current) return fail(current.error());
    const auto rolled_back = store.all_rolled_back();
    if (!rolled_back) return fail(rolled_back.error());
    const std::optional<Generation>& held = *current;
    succession.current_ = held ? held->number : 0;
    for (const auto& [generation, at] : *rolled_back) succession.rolled_back_[generation] = at;
    for (const std::uint64_t number : *numbers) {
      auto generation = store.generation(number);
      if (generation) succession.generations_.emplace(number, std::move(*generation));
    }
    return succession;
  }

  [[nodiscard]] const std::map<std::uint64_t, Generation>& generations() const { return generations_; }

  [[nodiscard]] std::optional<Time> end_of(std::uint64_t number) const {
    if (number == current_) return std::nullopt;
    if (const auto back = rolled_back_.find(number); back != rolled_back_.end()) return back->second;
    for (auto next = generations_.upper_bound(number); next != generations_.end(); ++next)
      if (!rolled_back_.contains(next->first)) return next->second.provenance.created;
    return std::nullopt;
  }

 private:
  std::uint64_t current_ = 0;
  std::map<std::uint64_t, Time> rolled_back_;
  std::map<std::uint64_t, Generation> generations_;
};

/// Its key is written down even if it is in use elsewhere: that is seen before any is destroyed.
Result<> take_away(Store& store, AbandonedKeys& abandoned, std::uint64_t number) {
  const auto generation = store.generation(number);
  if (!generation) return fail(generation.error());
  return store.retire(number, [&] {
    abandoned.add({.token = generation->provenance.token, .token_key_pem = generation->token_key_pem});
  });
}

}  // namespace

Time due(Time since, Time until, Seconds keep_old) { return std::min(since + keep_old, until); }

Result<std::vector<Retirement>> plan_retirements(const Store& store) {
  const auto succession = Succession::of(store);
  if (!succession) return fail(succession.error());
  std::vector<Retirement> plan;
  for (const auto& [number, generation] : succession->generations())
    if (const auto end = succession->end_of(number))
      plan.push_back({.generation = number, .since = *end, .until = generation.leaf.not_after()});
  return plan;
}

Result<Retired> retire(Store& store, AbandonedKeys& abandoned, const Tokens& tokens, Seconds keep_old, Time now) {
  const auto plan = plan_retirements(store);
  if (!plan) return fail(plan.error());
  Retired retired{.generations = {}, .since = end_of_time, .until = end_of_time};
  for (const auto& [number, since, until] : *plan) {
    if (now < due(since, until, keep_old)) {
      retired.since = std::min(retired.since, since);
      retired.until = std::min(retired.until, until);
      continue;
    }
    if (auto taken = take_away(store, abandoned, number); !taken) return fail(std::move(taken.error()));
    retired.generations.push_back(number);
  }
  if (!retired.generations.empty() && spare_keys_in_use(store, abandoned)) abandoned.destroy(tokens);
  return retired;
}

}  // namespace devid::identity
