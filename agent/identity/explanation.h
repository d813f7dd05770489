#pragma once

#include <string>
#include <vector>

#include "agent/identity/next_step.h"

namespace devid::identity {

/// Why an identity is in its state, what happens next and when, what happens if that fails, and how long the credential
/// lasts if nothing works: sentences for people, in this order, each without a full stop. Pure.
std::vector<std::string> explain(const Situation& situation, const Profile& profile, Time now);

/// How much is left, in percent, of the time from the planned renewal to the expiry, where that has fallen to 50, 25,
/// 10, 1 or 0: the least of these that it has fallen to. None before, and for what was replaced or never was.
std::optional<std::uint32_t> expiry_warning(const Situation& situation, const Profile& profile, Time now);

/// The sentence that goes with it.
std::string expiry_sentence(const Situation& situation, const Profile& profile, Time now);

/// "3d 4h", "2h 5min", "40s": the two largest units that are not zero, for a span of at least a second.
std::string span_text(Seconds span);

}  // namespace devid::identity
