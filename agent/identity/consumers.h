#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// What systemd is asked to do with a unit, named as systemctl(1) does.
enum class UnitVerb { start, reload, restart, try_restart, reload_or_restart, try_reload_or_restart };
/// "try-reload-or-restart" …
std::string_view unit_verb_name(UnitVerb verb);
std::optional<UnitVerb> unit_verb_from_name(std::string_view name);

/// "reload nginx.service": what a profile wants to be done when there is a new generation.
struct UnitAction {
  UnitVerb verb = UnitVerb::reload;
  std::string unit;
  bool operator==(const UnitAction&) const = default;
};
std::string to_text(const UnitAction& action);

/// A name as systemd.unit(5) has it, of a unit and not of a template: at most 255 of A-Z, a-z, 0-9 and ":-_.\", one '@'
/// before an instance, and one of systemd's suffixes.
bool is_unit_name(std::string_view name);

/// How far it is with telling one unit of the current generation.
struct Told {
  enum class State { pending, done, failed };
  UnitAction action;
  State state = State::pending;
  std::uint32_t attempts = 0;
  std::optional<Time> next_attempt;  ///< none: at once
  std::string message;               ///< why it failed
  bool operator==(const Told&) const = default;
};
/// "pending", "done", "failed".
std::string_view told_state_name(Told::State state);

/// What is to be done for a generation that nobody was told of.
std::vector<Told> nobody_told(const std::vector<UnitAction>& actions);

/// Whether a unit is to be told now. A time that lies further ahead than any that is put off means that the clock was
/// turned back.
bool is_due(const Told& told, Time now);

/// Those that a profile still wants to be told.
std::vector<Told> still_wanted(const std::vector<Told>& told, const std::vector<UnitAction>& actions);

/// Notes how it went to tell one of them; nothing if it is none of them. `next` is when it is told again after so many
/// failures.
void note_outcome(std::vector<Told>& told, const UnitAction& action, const Result<>& outcome,
                  const std::function<Time(std::uint32_t failures)>& next);

}  // namespace devid::identity
