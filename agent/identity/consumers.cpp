#include "agent/identity/consumers.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <iterator>
#include <utility>

namespace devid::identity {
namespace {

constexpr std::array<std::pair<std::string_view, UnitVerb>, 6> verbs{
    {{"start", UnitVerb::start},
     {"reload", UnitVerb::reload},
     {"restart", UnitVerb::restart},
     {"try-restart", UnitVerb::try_restart},
     {"reload-or-restart", UnitVerb::reload_or_restart},
     {"try-reload-or-restart", UnitVerb::try_reload_or_restart}}};

constexpr std::array<std::string_view, 11> suffixes{".service", ".socket", ".target", ".device", ".mount", ".automount",
                                                    ".swap",    ".timer",  ".path",   ".slice",  ".scope"};
constexpr std::size_t longest_unit_name = 255;

constexpr Seconds longest_wait = std::chrono::days(30);

bool is_unit_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view(":-_.\\").find(c) != std::string_view::npos;
}

}  // namespace

std::string_view unit_verb_name(UnitVerb verb) {
  return std::ranges::find(verbs, verb, &std::pair<std::string_view, UnitVerb>::second)->first;
}

std::optional<UnitVerb> unit_verb_from_name(std::string_view name) {
  const auto* const found = std::ranges::find(verbs, name, &std::pair<std::string_view, UnitVerb>::first);
  return found == verbs.end() ? std::nullopt : std::optional(found->second);
}

std::string to_text(const UnitAction& action) { return std::string(unit_verb_name(action.verb)) + " " + action.unit; }

bool is_unit_name(std::string_view name) {
  const auto* const suffix =
      std::ranges::find_if(suffixes, [&](std::string_view each) { return name.ends_with(each); });
  if (suffix == suffixes.end() || name.size() > longest_unit_name) return false;
  const std::string_view stem = name.substr(0, name.size() - suffix->size());
  const std::size_t at = stem.find('@');
  const std::string_view prefix = stem.substr(0, at);
  if (prefix.empty() || !std::ranges::all_of(prefix, is_unit_character)) return false;
  if (at == std::string_view::npos) return true;
  const std::string_view instance = stem.substr(at + 1);
  return !instance.empty() && std::ranges::all_of(instance, is_unit_character);
}

std::string_view told_state_name(Told::State state) {
  switch (state) {
    case Told::State::pending: return "pending";
    case Told::State::done: return "done";
    case Told::State::failed: return "failed";
  }
  return "failed";
}

std::vector<Told> nobody_told(const std::vector<UnitAction>& actions) {
  std::vector<Told> all;
  all.reserve(actions.size());
  for (const UnitAction& action : actions) all.push_back({.action = action});
  return all;
}

bool is_due(const Told& told, Time now) {
  if (told.state == Told::State::done) return false;
  return !told.next_attempt || now >= *told.next_attempt || *told.next_attempt > now + longest_wait;
}

std::vector<Told> still_wanted(const std::vector<Told>& told, const std::vector<UnitAction>& actions) {
  std::vector<Told> wanted;
  std::ranges::copy_if(told, std::back_inserter(wanted),
                       [&](const Told& each) { return std::ranges::find(actions, each.action) != actions.end(); });
  return wanted;
}

void note_outcome(std::vector<Told>& told, const UnitAction& action, const Result<>& outcome,
                  const std::function<Time(std::uint32_t failures)>& next) {
  const auto found = std::ranges::find(told, action, &Told::action);
  if (found == told.end()) return;
  found->attempts += 1;
  if (outcome) {
    found->state = Told::State::done;
    found->next_attempt.reset();
    found->message.clear();
  } else {
    const Error& error = outcome.error();
    found->state = Told::State::failed;
    found->next_attempt = next(found->attempts);
    found->message = error.hint.empty() ? error.sentence() : error.sentence() + "; " + printable(error.hint);
  }
}

}  // namespace devid::identity
