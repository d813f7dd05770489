#pragma once

#include "agent/identity/backoff.h"
#include "agent/identity/profile.h"
#include "agent/identity/situation.h"
#include "agent/identity/state.h"
#include "base/clock.h"
#include "base/error.h"

namespace devid::identity {

/// When something is written down, and by what the next time is reckoned.
struct Moment {
  const Profile& profile;
  Time now;
  const Random& random;
};

/// What is written before an attempt. It is a failed one until it has succeeded: if the process dies of it, the next
/// one waits. All of the functions here are pure but for the random numbers.
Record before_attempt(Record record, JobKind kind, const Moment& moment);

/// What is written after it has failed; `before` is the record before before_attempt(). One that was cancelled leaves
/// no trace but its time. The error's texts become safe to be shown.
Record after_failure(Record record, const Record& before, Error error, const Moment& moment);

/// What is written when the CA has the request and needs time: `retry_after`, or 0 if it did not say.
Record while_pending(Record record, const Record& before, Seconds retry_after, const Moment& moment);

/// What is written when a new generation is current: `fresh` is all that is known of it.
Record after_success(const Record& record, Record fresh, const Moment& moment);

/// What is written before a look at the CA, as before_attempt(), and after one; `failure` is null where it succeeded.
/// One that failed changes nothing but the time of the next.
Record before_look(Record record, const Moment& moment);
Record after_look(Record record, const Record& before, const Error* failure, const Moment& moment);

/// Whether a job whose attempt has failed goes on with an enrollment by the IDevID: where a renewal was refused, or
/// could not even be tried. `situation` is that after the failure.
bool goes_on_with_idevid(const Situation& situation, const Error& failure, JobKind failed, const Profile& profile,
                         Time now);

/// Safe to be shown and to be written down.
Error escaped(Error error);

}  // namespace devid::identity
