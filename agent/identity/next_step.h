#pragma once

#include <optional>
#include <string>
#include <variant>

#include "agent/identity/profile.h"
#include "agent/identity/situation.h"
#include "agent/identity/status.h"

namespace devid::identity {

/// Nothing is due before then.
struct Wait {
  Time until;
  bool operator==(const Wait&) const = default;
};
/// Make a key and have it certified, authenticated by the IDevID.
struct Enroll {
  bool operator==(const Enroll&) const = default;
};
/// Make a key and have it certified, authenticated by the current credential.
struct Renew {
  bool operator==(const Renew&) const = default;
};
/// Present the request on disk again, with the same key.
struct Poll {
  JobKind kind;
  bool operator==(const Poll&) const = default;
};
/// Look at the CA's certificates, and at whether it has taken the current one back.
struct Refresh {
  bool operator==(const Refresh&) const = default;
};
using Step = std::variant<Wait, Enroll, Renew, Poll, Refresh>;

/// What is to be done for an identity now. Pure: no I/O, no clock.
Step next_step(const Situation& situation, const Profile& profile, Time now);

/// The step that would bring an identity forward, whether it is due or not: never Wait or Refresh. It is Enroll
/// although the credential is valid where the last renewal has shown that the credential is of no use.
Step step_forward(const Situation& situation, const Profile& profile, Time now);
JobKind kind_of(const Step& step);

/// Whether somebody may start this job by hand, due or not. Error: wrong_state, for a renewal of what has no valid
/// credential, and for an enrollment of what has one, without force, unless an enrollment is the step_forward().
Result<> check_allowed(const std::string& name, const Situation& situation, const Profile& profile, JobKind kind,
                       JobOptions options, Time now);

/// Before then the clock is wrong for certain: when devid was built, when the certificate of `current` begins (a minute
/// earlier, as clocks differ), and when it was obtained, if its own dates bear that out: the clock may have been ahead.
Time clock_floor(const Situation& situation);

/// Whether a failure means that the key of the current credential is gone or does not sign any more.
bool key_is_lost(Errc failure);

/// Where an identity stands, for people: part of a Status.
struct Assessment {
  State state = State::unenrolled;
  std::string reason;
  std::optional<Time> next_attempt;
};
Assessment assess(const Situation& situation, const Profile& profile, Time now);

/// The same for an identity whose configuration is wrong: blocked until that is put right and read again.
Assessment assess_misconfigured(const Situation& situation, const Error& error, Time now);

}  // namespace devid::identity
