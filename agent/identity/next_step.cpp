#include "agent/identity/next_step.h"

#include <fmt/chrono.h>

#include <algorithm>

#include "agent/identity/backoff.h"
#include "agent/identity/network.h"

namespace devid::identity {
namespace {

/// A CA's clock may be that much ahead of this one.
constexpr Seconds skew = std::chrono::minutes(1);
/// A CA may date a certificate back by that much, where that is told from a clock that was ahead.
constexpr Seconds backdating = std::chrono::days(2);

bool is_alive(const Situation& situation, Time now) {
  return situation.credential && now <= situation.credential->validity.not_after;
}

/// What is held, as far as the clock allows: a time of issue that lies in the future means that the clock was turned
/// back.
Holding held_at(const Holding& holding, Time now) {
  Holding held = holding;
  if (held.since && *held.since > now) held.since.reset();
  return held;
}

/// The longest that devid stays idle after an attempt at `last`, whatever was recorded: the clock may have been wrong
/// then. A credential that works is worth more than the server's advice: of its time no more than half is waited away,
/// and so over and over until the shortest wait of the profile.
Time latest_attempt(const Situation& situation, const RetryPolicy& retry, Time last) {
  const Time latest = last + longest_wait(retry);
  if (!situation.credential || last > situation.credential->validity.not_after) return latest;
  return std::min(latest, last + std::max(retry.minimum, (situation.credential->validity.not_after - last) / 2));
}

/// Whether the current credential was of no use in the last attempt: its key is gone, or the server does not want it.
/// Then the IDevID is next, in the same job, and if that fails too, the credential again. One that was revoked is not
/// tried again.
enum class Rejected { no, by_server, by_token, by_ca };

Rejected rejection(Errc failure) {
  switch (failure) {
    case Errc::token_auth_failed:  // a PCR policy that does not hold any more
    case Errc::token_no_such_key:
    case Errc::token_wrong_key: return Rejected::by_token;
    case Errc::server_unauthorized:
    case Errc::server_refused:
    case Errc::tls_failed: return Rejected::by_server;
    default: return Rejected::no;
  }
}

Rejected rejected(const Record& record) {
  if (record.revoked) return Rejected::by_ca;
  if (record.attempts == 0 || record.method != JobKind::renew || !record.last_error) return Rejected::no;
  return rejection(record.last_error->code);
}

/// An attempt that lies in the future means that the clock was turned back: what was reckoned from it does not count.
bool is_turned_back(const Record& record, Time now) { return record.last_attempt && *record.last_attempt > now; }

/// When the step forward is due, whatever the window says.
Time unrestricted_time(const Situation& situation, const Profile& profile, Time now) {
  const Time at_once = std::min(situation.known_since, now);
  const Record& record = situation.record;
  if (record.attempts > 0 || situation.request) {
    const bool turned_back = is_turned_back(record, now);
    if (turned_back && situation.credential && is_alive(situation, now) && !record.revoked && !situation.request)
      return planned_renewal(held_at(*situation.credential, now), profile.renewal);  // a fleet does not come at once
    if (!record.last_attempt || turned_back || !record.next_attempt) return at_once;
    return std::min(*record.next_attempt, latest_attempt(situation, profile.retry, *record.last_attempt));
  }
  if (record.revoked) return at_once;
  if (!situation.credential) return at_once;
  // However short a certificate lasts, its CA is not asked again faster than after a failure.
  const Holding held = held_at(*situation.credential, now);
  return std::max(planned_renewal(held, profile.renewal),
                  held.since.value_or(held.validity.not_before) + profile.retry.minimum);
}

/// Only a renewal that replaces what still works waits for the window, and only until it begins.
Time due_time(const Situation& situation, const Profile& profile, Time now) {
  const Time due = unrestricted_time(situation, profile, now);
  const Record& record = situation.record;
  const bool of_no_use =
      record.revoked || (record.attempts > 0 && (record.method == JobKind::enroll || rejected(record) != Rejected::no));
  if (!profile.renewal.window || !situation.credential || !is_alive(situation, now) || of_no_use || situation.request)
    return due;
  const Holding held = held_at(*situation.credential, now);
  return in_window(*profile.renewal.window, held, planned_renewal(held, profile.renewal), due, now);
}

/// When to look at the CA again: only while nothing else is under way, as each enrollment and renewal looks, too. A
/// time that lies further ahead than any look is put off means that the clock was turned back.
std::optional<Time> refresh_time(const Situation& situation, const Profile& profile, Time now) {
  const Record& record = situation.record;
  if (!situation.credential || !is_alive(situation, now)) return std::nullopt;
  const bool is_tried_soon = record.attempts > 0 && !is_turned_back(record, now);
  if (is_tried_soon || record.revoked || situation.request) return std::nullopt;
  const Seconds interval = profile.server.cacerts_interval;
  const Time due =
      record.next_refresh.value_or(record.last_success.value_or(situation.credential->validity.not_before) + interval);
  return due > now + 2 * interval ? now : due;
}

std::string text(Time time) { return fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", time); }

std::string next(std::string_view doing, Time due, Time now) {
  return due <= now ? fmt::format("{} at the next run", doing) : fmt::format("{} at {}", doing, text(due));
}

/// What there is to say about the credential alone.
std::string credential_text(const Situation& situation, Time now) {
  if (!situation.credential) return "not enrolled";
  if (now > situation.credential->validity.not_after)
    return "expired on " + text(situation.credential->validity.not_after);
  return "valid until " + text(situation.credential->validity.not_after);
}

/// The last failure, if only somebody can put it right.
const Error* failure_for_operator(const Record& record) {
  const bool needed = record.attempts > 0 && record.last_error && record.last_error->retry != Retry::later;
  return needed ? &*record.last_error : nullptr;
}

std::string with_hint(const Error& error) {
  return error.hint.empty() ? error.sentence() : fmt::format("{}; {}", error.sentence(), printable(error.hint));
}

State state_while_running(JobKind kind) { return kind == JobKind::renew ? State::renewing : State::enrolling; }

/// What went wrong last, as the end of a sentence.
std::string last_failure(const Record& record) {
  return record.last_error ? record.last_error->sentence() : "it was cut short";
}

Assessment assess_early(const Situation& situation, Time now, Time floor) {
  return {State::waiting_for_clock,
          fmt::format("{}; the clock says {}, which is before {} and cannot be: nothing is done until it is set",
                      credential_text(situation, now), text(now), text(floor)),
          floor};
}

Assessment assess_failed(const Situation& situation, Time now, Time due) {
  const std::string credential = credential_text(situation, now);
  if (const Error* failure = failure_for_operator(situation.record)) {
    return {
        State::blocked,
        fmt::format("{}; needs the operator: {}; {}", credential, with_hint(*failure), next("looks again", due, now)),
        due};
  }
  const bool alive = is_alive(situation, now);
  const State state = alive ? State::degraded : situation.credential ? State::expired : State::unenrolled;
  const JobKind failed = situation.record.method.value_or(alive ? JobKind::renew : JobKind::enroll);
  return {
      state,
      fmt::format("{}; the last {} failed: {}; {}{}", credential, failed == JobKind::renew ? "renewal" : "enrollment",
                  last_failure(situation.record), next("tries again", due, now),
                  waits_for_network(situation) ? ", or soon after the network is back" : ""),
      due};
}

Assessment assess_pending(const Situation& situation, Time since, Time now, Time due) {
  std::string reason = fmt::format("{}; the CA has accepted the request on {} and has not issued yet",
                                   credential_text(situation, now), text(since));
  if (situation.record.attempts > 0) reason += "; asking again failed: " + last_failure(situation.record);
  return {is_alive(situation, now) ? State::renewing : State::pending, reason + "; " + next("asks again", due, now),
          due};
}

Assessment assess_untroubled(const Situation& situation, const Profile& profile, Time now, Time due) {
  const std::string credential = credential_text(situation, now);
  if (!situation.credential) return {State::unenrolled, credential + "; " + next("enrolls", due, now), due};
  const std::string_view again =
      profile.renewal.enroll_again ? "enrolls again with the IDevID" : "tries to renew all the same";
  if (!is_alive(situation, now)) return {State::expired, credential + "; " + next(again, due, now), due};
  if (situation.record.revoked)
    return {State::degraded, credential + ", but its CA has revoked it; " + next(again, due, now), due};
  std::string reason = credential + "; " + next("renews", due, now);
  if (renewal_time(situation.credential->validity, profile.renewal.at).clamped)
    reason += ", after half of the lifetime, because renew_at is not shorter than that";
  return {State::valid, std::move(reason), due};
}

}  // namespace

Time clock_floor(const Situation& situation) {
  if (!situation.credential) return situation.clock_floor;
  const Holding& held = *situation.credential;
  // A CA dates a certificate when it issues it: much later than that, this clock was ahead.
  const bool plausible = held.since && *held.since <= held.validity.not_before + backdating;
  return std::max({situation.clock_floor, held.validity.not_before - skew, plausible ? *held.since : Time()});
}

bool key_is_lost(Errc failure) { return rejection(failure) == Rejected::by_token; }

Step step_forward(const Situation& situation, const Profile& profile, Time now) {
  const bool alive = is_alive(situation, now);
  const Rejected rejection = rejected(situation.record);
  // The profile may want the IDevID to be used once and never again.
  const bool no_other_way = situation.credential && !profile.renewal.enroll_again;
  // A renewal is authenticated by the current credential: once that has expired, or cannot be used, the request is of
  // no more use. What a server does not want now, it may want later; what its CA has accepted is not thrown away.
  const bool usable = alive && rejection != Rejected::by_token && rejection != Rejected::by_ca &&
                      (rejection == Rejected::no || situation.record.pending_since);
  const bool can_renew = usable || no_other_way;
  // An enrollment that nobody approves must not outlast a credential that may work again.
  const auto& waiting = situation.record.pending_since;
  const bool overdue = usable && waiting && now > *waiting + (situation.credential->validity.not_after - *waiting) / 2;
  if (situation.request == JobKind::enroll && overdue) return Renew{};
  if (situation.request && (situation.granted || can_renew || situation.request == JobKind::enroll))
    return Poll{*situation.request};
  if (can_renew && (rejection == Rejected::no || no_other_way)) return Renew{};
  return Enroll{};
}

JobKind kind_of(const Step& step) {
  if (const auto* poll = std::get_if<Poll>(&step)) return poll->kind;
  if (std::holds_alternative<Refresh>(step)) return JobKind::refresh;
  return std::holds_alternative<Renew>(step) ? JobKind::renew : JobKind::enroll;
}

Result<> check_allowed(const std::string& name, const Situation& situation, const Profile& profile, JobKind kind,
                       JobOptions options, Time now) {
  const auto refuse = [&](std::string_view why, std::string hint) {
    return fail({.code = Errc::wrong_state,
                 .retry = Retry::never,
                 .what = fmt::format("cannot {} identity '{}': {}", job_kind_name(kind), name, why),
                 .hint = std::move(hint)});
  };
  const JobKind next = kind_of(step_forward(situation, profile, now));
  if (kind != JobKind::enroll && kind != next && !is_alive(situation, now)) {
    return refuse(situation.credential ? "its credential has expired" : "it has no credential",
                  fmt::format("devidctl enroll {}", name));
  }
  if (kind == JobKind::enroll && kind != next && !options.force) {
    return refuse(
        "it has a valid credential",
        fmt::format("devidctl renew {0}, or devidctl enroll --force {0} to begin again with the IDevID", name));
  }
  return {};
}

Step next_step(const Situation& situation, const Profile& profile, Time now) {
  if (const Time floor = clock_floor(situation); now < floor) return Wait{floor};
  const Time due = due_time(situation, profile, now);
  if (now >= due) return step_forward(situation, profile, now);
  const auto refresh = refresh_time(situation, profile, now);
  if (refresh && now >= *refresh) return Refresh{};
  return Wait{std::min(due, refresh.value_or(due))};
}

Assessment assess(const Situation& situation, const Profile& profile, Time now) {
  const Time due = due_time(situation, profile, now);
  if (const Time floor = clock_floor(situation); now < floor) return assess_early(situation, now, floor);
  if (situation.running) return {state_while_running(*situation.running), "a job is running", due};
  const bool polls = std::holds_alternative<Poll>(step_forward(situation, profile, now));
  const auto since = situation.record.pending_since;
  if (polls && since && failure_for_operator(situation.record) == nullptr)
    return assess_pending(situation, *since, now, due);
  if (situation.record.attempts > 0) return assess_failed(situation, now, due);
  return assess_untroubled(situation, profile, now, due);
}

Assessment assess_misconfigured(const Situation& situation, const Error& error, Time now) {
  return {State::blocked,
          fmt::format("{}; the configuration is wrong: {}; put it right, then run devidctl reload",
                      credential_text(situation, now), with_hint(error)),
          std::nullopt};
}

}  // namespace devid::identity
