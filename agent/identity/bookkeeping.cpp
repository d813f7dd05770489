#include "agent/identity/bookkeeping.h"

#include <algorithm>
#include <utility>

#include "agent/identity/next_step.h"

namespace devid::identity {
namespace {

/// So that a fleet does not look all at once: within a tenth of the interval around it.
Time next_look(const Moment& moment) {
  const double share = 0.95 + (moment.random() / 10);
  const auto interval = static_cast<double>(moment.profile.server.cacerts_interval.count());
  return moment.now + Seconds(static_cast<std::int64_t>(interval * share));
}

Time next_look_after(const Error& failure, const Moment& moment) {
  return moment.now + std::min(moment.profile.server.cacerts_interval,
                               wait_after_failure(failure, 1, moment.profile.retry, moment.random));
}

}  // namespace

Record before_attempt(Record record, JobKind kind, const Moment& moment) {
  record.last_attempt = moment.now;
  record.attempts += 1;
  record.method = kind;
  record.next_attempt = moment.now + backoff(record.attempts, moment.profile.retry, moment.random);
  record.last_error = Error{.code = Errc::cancelled,
                            .retry = Retry::later,
                            .what = "the last attempt was cut short: devidd or the device stopped"};
  return record;
}

Record after_failure(Record record, const Record& before, Error error, const Moment& moment) {
  if (error.code == Errc::cancelled) {
    Record untouched = before;
    untouched.last_attempt = record.last_attempt;
    return untouched;
  }
  record.next_attempt = moment.now + wait_after_failure(error, record.attempts, moment.profile.retry, moment.random);
  error.retry_after.reset();
  record.last_error = escaped(std::move(error));
  return record;
}

Record while_pending(Record record, const Record& before, Seconds retry_after, const Moment& moment) {
  record.attempts = 0;
  record.last_error.reset();
  record.unanswered = 0;
  record.polls = before.pending_since ? before.polls + 1 : 1;
  record.pending_since = before.pending_since.value_or(moment.now);
  record.next_attempt = moment.now + wait_while_pending(retry_after, record.polls, moment.profile.retry, moment.random);
  return record;
}

Record after_success(const Record& record, Record fresh, const Moment& moment) {
  fresh.last_attempt = record.last_attempt;
  fresh.next_refresh = next_look(moment);
  return fresh;
}

Record before_look(Record record, const Moment& moment) {
  record.next_refresh = next_look_after({}, moment);
  return record;
}

Record after_look(Record record, const Record& before, const Error* failure, const Moment& moment) {
  if (failure == nullptr) {
    record.next_refresh = next_look(moment);
  } else if (failure->code == Errc::cancelled) {
    record.next_refresh = before.next_refresh;
  } else {
    record.next_refresh = next_look_after(*failure, moment);
  }
  return record;
}

bool goes_on_with_idevid(const Situation& situation, const Error& failure, JobKind failed, const Profile& profile,
                         Time now) {
  if (failed != JobKind::renew || failure.code == Errc::cancelled) return false;
  return kind_of(step_forward(situation, profile, now)) == JobKind::enroll;
}

Error escaped(Error error) {
  error.what = printable(error.what);
  error.reason = printable(error.reason);
  error.hint = printable(error.hint);
  return error;
}

}  // namespace devid::identity
