#include "agent/identity/consumers_parser.h"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace devid::identity {
namespace {

constexpr std::size_t most_actions = 16;

/// What is wrong with an action, and what to do about it; empty if nothing is.
struct Objection {
  std::string what;
  std::string hint;
};

Objection objection(std::string_view text, std::optional<UnitVerb> verb, std::string_view unit) {
  constexpr std::string_view form = "write \"VERB UNIT\", such as \"reload nginx.service\"";
  if (unit.empty()) return {fmt::format("after_rotation: '{}' names no unit", text), std::string(form)};
  if (!verb) {
    return {fmt::format("after_rotation: '{}' begins with no verb", text),
            "the verbs are start, reload, restart, try-restart, reload-or-restart and try-reload-or-restart"};
  }
  if (!is_unit_name(unit)) {
    return {fmt::format("after_rotation: '{}' is no name of a unit", unit),
            "write the whole name, with its suffix: nginx.service"};
  }
  if (unit == "devidd.service")
    return {"after_rotation: devidd cannot restart itself for what it has just obtained", "leave it out"};
  return {};
}

}  // namespace

std::vector<UnitAction> parse_after_rotation(TableParser& top, Complaints& complaints) {
  std::vector<UnitAction> actions;
  for (const auto& [text, where] : top.strings("after_rotation")) {
    const std::size_t blank = std::min(text.find(' '), text.size());
    const std::string_view unit = std::string_view(text).substr(std::min(blank + 1, text.size()));
    const auto verb = unit_verb_from_name(std::string_view(text).substr(0, blank));
    auto [what, hint] = objection(text, verb, unit);
    if (!verb || !what.empty()) {
      complaints.add(where, what, std::move(hint));
      continue;
    }
    UnitAction action{.verb = *verb, .unit = std::string(unit)};
    if (std::ranges::find(actions, action) != actions.end()) {
      complaints.add(where, fmt::format("after_rotation: '{}' is there twice", text), "leave one of them out");
    } else if (actions.size() == most_actions) {
      complaints.add(where, fmt::format("after_rotation: more than {} units", most_actions),
                     "let a target of your own stand for some of them");
      break;
    } else {
      actions.push_back(std::move(action));
    }
  }
  return actions;
}

}  // namespace devid::identity
