#include "agent/identity/explanation.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "agent/identity/backoff.h"
#include "agent/identity/duration.h"

namespace devid::identity {
namespace {

std::string when(Time time, Time now) {
  if (time > now) return fmt::format("at {}, in {}", utc_text(time), span_text(time - now));
  return "at the next run";
}

std::string point_text(const RenewAt& at) {
  if (const auto* share = std::get_if<LifetimeShare>(&at))
    return fmt::format("{}/{} of its lifetime", share->numerator, share->denominator);
  return duration_text(std::get<BeforeExpiry>(at).time) + " before its expiry";
}

std::string plan_text(const Holding& held, const RenewalPolicy& policy) {
  const auto [latest, clamped] = renewal_time(held.validity, policy.at);
  std::string text = fmt::format("its renewal is planned for {}", utc_text(planned_renewal(held, policy)));
  if (held.since && *held.since >= latest) return text + ": half of what was left when it came";
  text += fmt::format(": {} is {}", clamped ? "half of its lifetime" : point_text(policy.at), utc_text(latest));
  if (policy.spread == 0) return text;
  return text + (held.enrolled ? ", and devices that were enrolled together are to go apart"
                               : ", and each device comes up to " + std::to_string(policy.spread) +
                                     " % of the lifetime before that, at its own moment");
}

std::string_view step_text(const Step& step) {
  if (std::holds_alternative<Enroll>(step)) return "an enrollment with the IDevID";
  if (std::holds_alternative<Poll>(step)) return "the request that the CA has is presented again, with the same key";
  return "a renewal, authenticated by the current credential";
}

/// What follows if that does not help.
std::string ladder_text(const Step& step, const Profile& profile) {
  std::string again = fmt::format("after any failure it is tried again, after {} to {}, for good",
                                  duration_text(profile.retry.minimum), duration_text(longest_wait(profile.retry)));
  if (kind_of(step) == JobKind::enroll) return again;
  if (!profile.renewal.enroll_again)
    return "the profile forbids another enrollment with the IDevID (renewal.enroll_again); " + again;
  return "if the credential is refused, or its key is gone, an enrollment with the IDevID follows in the same job; " +
         again;
}

std::string window_text(const MaintenanceWindow& window, Time now) {
  const auto opens = window.opens.next(now);
  return fmt::format("renewals begin in the window '{}', for {}; it opens {}; one that cannot wait passes it over",
                     printable(window.opens.text(), 80), duration_text(window.length),
                     opens ? when(*opens, now) : std::string("never again"));
}

std::string end_text(const Situation& situation, Time now) {
  if (!situation.credential) return "there is no credential yet that could expire";
  const Time end = situation.credential->validity.not_after;
  if (now > end)
    return fmt::format("the credential expired {} ago; its files stay until another takes their place",
                       span_text(now - end));
  return fmt::format("if nothing works until then, the credential expires at {}, in {}", utc_text(end),
                     span_text(end - now));
}

/// Why a planned renewal has not come about.
std::string cause_text(const Record& record) {
  if (record.last_error) return record.last_error->sentence();
  if (record.pending_since) return "the CA has had the request since " + utc_text(*record.pending_since);
  return "no attempt has been made since";
}

}  // namespace

std::string span_text(Seconds span) {
  struct Unit {
    Seconds size;
    std::string_view name;
  };
  constexpr std::array<Unit, 4> units{
      {{std::chrono::days(1), "d"}, {std::chrono::hours(1), "h"}, {std::chrono::minutes(1), "min"}, {Seconds(1), "s"}}};
  for (std::size_t i = 0; i < units.size(); ++i) {
    const Unit& unit = units.at(i);
    if (span < unit.size) continue;
    std::string text = fmt::format("{}{}", span / unit.size, unit.name);
    if (i + 1 == units.size()) return text;
    const Unit& smaller = units.at(i + 1);
    if (const auto rest = (span % unit.size) / smaller.size; rest > 0) text += fmt::format(" {}{}", rest, smaller.name);
    return text;
  }
  return "0s";
}

std::vector<std::string> explain(const Situation& situation, const Profile& profile, Time now) {
  const Assessment assessment = assess(situation, profile, now);
  std::vector<std::string> sentences{std::string(state_name(assessment.state)) + ": " + assessment.reason};
  if (assessment.state == State::waiting_for_clock) return sentences;
  if (situation.credential && !situation.record.revoked)
    sentences.push_back(plan_text(*situation.credential, profile.renewal));
  if (profile.renewal.window) sentences.push_back(window_text(*profile.renewal.window, now));
  if (situation.record.attempts > 0)
    sentences.push_back(fmt::format(
        "{} in a row failed since {}",
        situation.record.attempts == 1 ? std::string("one attempt")
                                       : fmt::format("{} attempts", situation.record.attempts),
        situation.record.last_success ? utc_text(*situation.record.last_success) : std::string("the beginning")));
  const Step step = step_forward(situation, profile, now);
  if (assessment.next_attempt)
    sentences.push_back(fmt::format("next comes {}: {}", when(*assessment.next_attempt, now), step_text(step)));
  sentences.push_back(ladder_text(step, profile));
  sentences.push_back(end_text(situation, now));
  return sentences;
}

std::optional<std::uint32_t> expiry_warning(const Situation& situation, const Profile& profile, Time now) {
  if (!situation.credential || now < clock_floor(situation)) return std::nullopt;
  const Time planned = planned_renewal(*situation.credential, profile.renewal);
  const Time end = situation.credential->validity.not_after;
  if (now <= planned || planned >= end) return std::nullopt;
  if (now > end) return 0;
  const auto left = static_cast<double>((end - now).count()) / static_cast<double>((end - planned).count());
  for (const std::uint32_t percent : {1U, 10U, 25U, 50U})
    if (left * 100 <= percent) return percent;
  return std::nullopt;
}

std::string expiry_sentence(const Situation& situation, const Profile& profile, Time now) {
  if (!situation.credential) return {};
  const Time end = situation.credential->validity.not_after;
  const std::string planned = utc_text(planned_renewal(*situation.credential, profile.renewal));
  const std::string failure = cause_text(situation.record);
  if (now > end)
    return fmt::format(
        "the credential has expired at {}; the renewal that was planned for {} did not come about: {}; "
        "its files stay, and devid keeps trying",
        utc_text(end), planned, failure);
  return fmt::format("the renewal that was planned for {} has not come about: {}; the credential expires at {}, in {}",
                     planned, failure, utc_text(end), span_text(end - now));
}

}  // namespace devid::identity
