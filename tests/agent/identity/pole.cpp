#include "tests/agent/identity/pole.h"

#include <algorithm>
#include <cmath>

#include "agent/identity/bookkeeping.h"

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr Seconds timer_interval = minutes(15);
/// Without a valid certificate devid never waits longer for what is possible, unless the server asks for it.
constexpr Seconds patience = RetryPolicy().maximum + timer_interval;
constexpr Seconds advice_that_counts = days(1);

}  // namespace

Pole::Pole(std::uint64_t seed, Time begin, Seconds duration)
    : engine_(seed),
      numbers_([this] { return random(); }),
      begin_(begin),
      end_(begin + duration),
      now_(begin),
      situation_{.clock_floor = begin - days(30), .known_since = begin} {
  plan(Trouble::server_down, days(40), hours(1), days(28));
  plan(Trouble::ldevid_refused, days(250), hours(1), days(20));
  plan(Trouble::idevid_refused, days(250), hours(1), days(60));
  plan(Trouble::slow_ca, days(120), days(1), days(10));
  plan(Trouble::short_lives, days(400), days(5), days(120));
  plan(Trouble::wrong_clock, days(60), minutes(15), days(3));
  plan(Trouble::no_power, days(90), minutes(30), days(4));
  for (Time at = begin; (at += between(days(50), days(500))) < end_;) revocations_.push_back(at);
}

/// Short stretches are as likely as long ones.
Seconds Pole::between(Seconds least, Seconds most) {
  const double ratio = static_cast<double>(most.count()) / static_cast<double>(least.count());
  return Seconds(static_cast<Seconds::rep>(static_cast<double>(least.count()) * std::pow(ratio, random())));
}

void Pole::plan(Trouble trouble, Seconds every, Seconds shortest, Seconds longest) {
  auto& spells = spells_[static_cast<std::size_t>(trouble)];
  for (Time at = begin_; (at += between(every / 4, every * 2)) < end_;) {
    const Seconds error = between(minutes(2), days(2000)) * (random() < 0.5 ? -1 : 1);
    spells.push_back({.begin = at, .end = at + between(shortest, longest), .clock_error = error});
    at = spells.back().end;
  }
}

const Spell* Pole::spell(Trouble trouble) const {
  const auto& spells = spells_[static_cast<std::size_t>(trouble)];
  const auto next = std::ranges::upper_bound(spells, now_, {}, &Spell::end);
  return next != spells.end() && next->begin <= now_ ? &*next : nullptr;
}

Time Pole::clock() const {
  const Spell* wrong = spell(Trouble::wrong_clock);
  return wrong == nullptr ? now_ : now_ + wrong->clock_error;
}

bool Pole::is_revoked() const {
  return std::ranges::any_of(revocations_, [&](Time at) { return at > issued_ && at <= now_; });
}

bool Pole::has_valid() const { return situation_.credential && now_ <= situation_.credential->validity.not_after; }

bool Pole::can_enroll() const {
  if (is(Trouble::no_power) || is(Trouble::wrong_clock) || is(Trouble::server_down)) return false;
  if (issues_at_ ? now_ < *issues_at_ : is(Trouble::slow_ca)) return false;
  return !is(Trouble::idevid_refused) || (has_valid() && !is(Trouble::ldevid_refused) && !is_revoked());
}

Moment Pole::moment() const {
  return {.profile = profile_, .now = clock(), .left = time_left(situation_, clock()), .random = numbers_};
}

/// Whether an enrollment was possible and not tried for so long that there is no excuse.
bool Pole::is_late() const {
  return can_since_ &&
         now_ > std::max({*can_since_ + patience, last_tried_ + patience, advised_until_ + timer_interval});
}

Story Pole::live() {
  for (; now_ < end_; now_ += timer_interval) {
    if (!can_enroll()) {
      can_since_.reset();
    } else if (!can_since_) {
      can_since_ = now_;
    }
    if (is(Trouble::no_power)) {
      off_ = true;
    } else {
      if (off_) restart(situation_.record);
      tick();
    }
    observe();
  }
  return std::move(story_);
}

void Pole::tick() {
  const Step step = next_step(situation_, profile_, clock());
  if (std::holds_alternative<Wait>(step)) return;
  if (std::holds_alternative<Refresh>(step)) return look();
  job(kind_of(step));
}

/// Writes down where the device stands, if it has nothing valid.
void Pole::observe() {
  // A clock that was ahead once and looks slow now keeps the device from looking for a while.
  if (is_revoked() && can_since_ && clock() >= clock_floor(situation_)) {
    if (!knows_since_) knows_since_ = now_;
    story_.revoked_in_vain = std::max(story_.revoked_in_vain, Seconds(now_ - *knows_since_));
  } else {
    knows_since_.reset();
  }
  if (has_valid() || story_.certificates == 0) return;
  auto& gaps = story_.gaps;
  if (gaps.empty() || gaps.back().end != now_)
    gaps.push_back({.begin = now_, .end = now_, .tried_before = last_tried_ > issued_ || !can_since_});
  Gap& gap = gaps.back();
  gap.end = now_ + timer_interval;
  if (is_late()) gap.unexcused += timer_interval;
  std::string reason = is(Trouble::no_power) ? "no power" : assess(situation_, profile_, clock()).reason;
  if (is(Trouble::wrong_clock)) reason += " (by a wrong clock)";
  if (std::ranges::find(gap.reasons, reason) == gap.reasons.end()) gap.reasons.push_back(std::move(reason));
}

void Pole::look() {
  ++story_.looks;
  const Record before = situation_.record;
  const Record during = before_look(before, moment());
  Error error{.code = Errc::network_unreachable, .retry = Retry::later, .what = "cannot look"};
  const bool failed = is(Trouble::server_down) || random() < 0.1;
  situation_.record = after_look(during, before, failed ? &error : nullptr, moment());
  if (failed) return;
  situation_.record.revoked = is_revoked();
  if (situation_.record.revoked) job(JobKind::enroll);
}

/// As Identity::run() does it.
void Pole::job(JobKind kind) {
  ++story_.attempts;
  last_tried_ = now_;
  advised_until_ = now_;
  const bool polls = std::holds_alternative<Poll>(step_forward(situation_, profile_, clock()));
  if (!polls || (kind == JobKind::enroll && situation_.request == JobKind::renew)) forget_request();
  const Record before = situation_.record;
  situation_.record = before_attempt(before, kind, moment());
  Error error{.code = Errc::internal, .retry = Retry::never, .what = "cannot do it"};
  switch (ask(kind, error)) {
    case End::done: return;
    case End::power_cut: return restart(situation_.record);
    case End::pending: return defer(kind, before);
    case End::failed: break;
  }
  ++story_.failures;
  if (error.retry_after) advised_until_ = now_ + std::min(*error.retry_after * 9 / 8, advice_that_counts);
  situation_.record = after_failure(situation_.record, before, error, moment());
  if (!situation_.request) forget_request();
  if (!goes_on_with_idevid(situation_, error, kind, profile_, clock())) return;
  situation_.record.attempts = before.attempts;
  job(JobKind::enroll);
}

void Pole::defer(JobKind kind, const Record& before) {
  const Seconds advice = random() < 0.5 ? Seconds(0) : between(minutes(1), days(3));
  advised_until_ = now_ + std::min(advice * 9 / 8, advice_that_counts);
  situation_.request = kind;
  situation_.record = while_pending(situation_.record, before, advice, moment());
}

Pole::End Pole::ask(JobKind kind, Error& error) {
  if (random() < 0.05) {
    if (random() < 0.5) situation_.request = kind;
    return End::power_cut;
  }
  if (random() < 0.15) return any_failure(kind, error);
  if (is(Trouble::server_down)) {
    constexpr std::array codes = {Errc::network_unreachable, Errc::network_timeout, Errc::server_unavailable,
                                  Errc::tls_untrusted, Errc::proxy_failed};
    error = {.code = codes[engine_() % codes.size()], .retry = Retry::later, .what = "no server"};
    if (error.code == Errc::server_unavailable) error.retry_after = between(minutes(1), days(10));
    return End::failed;
  }
  const bool refused =
      kind == JobKind::renew ? is(Trouble::ldevid_refused) || is_revoked() : is(Trouble::idevid_refused);
  if (refused) {
    situation_.request.reset();
    error = {.code = Errc::server_unauthorized, .retry = Retry::after_operator, .what = "refused"};
    return End::failed;
  }
  if (!issues_at_ && is(Trouble::slow_ca)) issues_at_ = now_ + between(hours(2), days(3));
  if (issues_at_ && now_ < *issues_at_) return End::pending;
  return issue(kind, error);
}

/// Whatever a job may end with, of each kind.
Pole::End Pole::any_failure(JobKind kind, Error& error) {
  constexpr std::array retries = {Retry::never, Retry::later, Retry::after_operator};
  error = {.code = all_error_codes()[engine_() % all_error_codes().size()],
           .retry = retries[engine_() % retries.size()],
           .what = "by chance"};
  if (random() < 0.2) error.retry_after = between(minutes(1), days(10));
  if (random() < 0.3) situation_.request = kind;
  return End::failed;
}

Pole::End Pole::issue(JobKind kind, Error& error) {
  const Seconds life = is(Trouble::short_lives) ? days(1) : days(90);
  const Validity validity{.not_before = now_, .not_after = now_ + life};
  situation_.request.reset();
  issues_at_.reset();
  if (clock() < validity.not_before - minutes(1) || clock() > validity.not_after) {
    error = {.code = Errc::certificate_not_valid_now, .retry = Retry::later, .what = "not valid by this clock"};
    return End::failed;
  }
  ++story_.certificates;
  issued_ = now_;
  situation_.credential =
      Holding{.validity = validity, .since = clock(), .enrolled = kind == JobKind::enroll, .share = random()};
  const Record fresh{.generation = story_.certificates, .last_success = clock()};
  situation_.record = after_success(situation_.record, fresh, moment());
  return End::done;
}

/// What the next devidd finds: the record as it was last written.
void Pole::restart(const Record& on_disk) {
  ++story_.power_cuts;
  off_ = false;
  situation_.record = parse_record(to_json(on_disk)).value_or(Record{});
  situation_.known_since = clock();
  if (!situation_.request) forget_request();
}

void Pole::forget_request() {
  situation_.request.reset();
  situation_.record.pending_since.reset();
  issues_at_.reset();
}

}  // namespace devid::identity
