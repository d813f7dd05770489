#pragma once

#include <optional>
#include <string>
#include <variant>

#include "agent/identity/profile.h"
#include "agent/identity/state.h"
#include "agent/identity/status.h"
#include "agent/job.h"

namespace devid::identity {

/// From when to when a certificate is valid, both ends included (RFC 5280 4.1.2.5).
struct Validity {
  Time not_before;
  Time not_after;
};

/// All that a decision depends on besides the profile and the time.
struct Situation {
  std::optional<Validity> credential;  ///< of the certificate that `current` names
  std::optional<JobKind> request;      ///< a key and its CSR wait on disk to be presented again
  Record record;
  std::optional<JobKind> running;
  Time known_since;  ///< since when this process knows the identity: what was never tried is due from then on
};

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
using Step = std::variant<Wait, Enroll, Renew, Poll>;

/// What is to be done for an identity now. Pure: no I/O, no clock.
Step next_step(const Situation& situation, const Profile& profile, Time now);

/// The step that would bring an identity forward, whether it is due or not: never Wait.
Step step_forward(const Situation& situation, Time now);
JobKind kind_of(const Step& step);

/// When a certificate is to be renewed. A time before expiry that is not shorter than the lifetime counts as half of
/// the lifetime: `clamped`.
struct RenewalTime {
  Time at;
  bool clamped = false;
};
RenewalTime renewal_time(const Validity& validity, const RenewAt& renew_at);

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
