#pragma once

#include "agent/identity/next_step.h"
#include "agent/identity/profile.h"
#include "agent/identity/situation.h"
#include "base/clock.h"

namespace devid::identity {

/// Whether the last attempt failed for lack of a network, as far as this end can tell: the next one is worth it as soon
/// as there is one again, whatever it was put off to.
bool waits_for_network(const Situation& situation);

/// What is to be done now that the network is back: next_step(), without the wait after a failure for lack of a
/// network. The clock and the window hold nevertheless.
Step step_with_network(const Situation& situation, const Profile& profile, Time now);

}  // namespace devid::identity
