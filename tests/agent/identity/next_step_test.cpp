#include "agent/identity/next_step.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace devid::identity {
namespace {

using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::years;

// The certificate of these tests is valid for 90 days from 2026-01-01; two thirds of that are over on 2026-03-02.
constexpr Time january = std::chrono::sys_days(std::chrono::January / 1 / 2026);
constexpr Validity ninety_days{.not_before = january, .not_after = january + days(90)};
constexpr Time renewal = january + days(60);
constexpr Time started = january - days(1);

Error error(Retry retry) {
  return {.code = Errc::server_refused, .retry = retry, .what = "cannot enroll", .reason = "no", .hint = "ask the CA"};
}

Record failed(Time last, Time next, Retry retry = Retry::later) {
  return {.attempts = 1, .last_attempt = last, .next_attempt = next, .last_error = error(retry)};
}

Record accepted(Time since, Time next) {
  return {.polls = 1, .last_attempt = since, .next_attempt = next, .pending_since = since};
}

Situation situation(std::optional<Validity> credential, Record record = {}, std::optional<JobKind> request = {}) {
  std::optional<Holding> held;
  if (credential) held = Holding{.validity = *credential, .since = record.last_success};
  return {.credential = held, .request = request, .record = std::move(record), .known_since = started};
}

struct Row {
  const char* name;
  Situation situation;
  Time now;
  Step step;
  State state;
  std::string reason;
};

void PrintTo(const Row& row, std::ostream* out) { *out << row.name; }

class AnIdentity : public testing::TestWithParam<Row> {};

/// One that does not look at its CA between renewals.
Profile without_looks() {
  Profile profile;
  profile.server.cacerts_interval = days(36500);
  return profile;
}

TEST_P(AnIdentity, TakesThisStepAndSaysWhy) {
  const Row& row = GetParam();
  const Profile profile = without_looks();
  EXPECT_EQ(next_step(row.situation, profile, row.now), row.step);
  const Assessment assessment = assess(row.situation, profile, row.now);
  EXPECT_EQ(state_name(assessment.state), state_name(row.state));
  EXPECT_EQ(assessment.reason, row.reason);
  ASSERT_TRUE(assessment.next_attempt);
  // RunDue and the decision must agree.
  EXPECT_EQ(*assessment.next_attempt <= row.now, !std::holds_alternative<Wait>(row.step));
}

const Time noon = january + hours(12);
INSTANTIATE_TEST_SUITE_P(
    Each, AnIdentity,
    testing::Values(
        Row{"WithoutAnything", situation({}), noon, Enroll{}, State::unenrolled,
            "not enrolled; enrolls at the next run"},
        Row{"ThatFailedToEnroll", situation({}, failed(noon, noon + minutes(2))), noon + minutes(1),
            Wait{noon + minutes(2)}, State::unenrolled,
            "not enrolled; the last enrollment failed: cannot enroll (no); tries again at 2026-01-01 12:02:00 UTC"},
        Row{"ThatFailedToEnrollAndHasWaited", situation({}, failed(noon, noon + minutes(2))), noon + minutes(2),
            Enroll{}, State::unenrolled,
            "not enrolled; the last enrollment failed: cannot enroll (no); tries again at the next run"},
        Row{"ThatTheOperatorMustHelp", situation({}, failed(noon, noon + hours(6), Retry::after_operator)),
            noon + hours(1), Wait{noon + hours(6)}, State::blocked,
            "not enrolled; needs the operator: cannot enroll (no); ask the CA; looks again at 2026-01-01 18:00:00 UTC"},
        Row{"ThatTheOperatorMustHelpIsLookedAtAgain", situation({}, failed(noon, noon + hours(6), Retry::never)),
            noon + hours(6), Enroll{}, State::blocked,
            "not enrolled; needs the operator: cannot enroll (no); ask the CA; looks again at the next run"},
        Row{"WhoseRequestWaits", situation({}, accepted(noon, noon + hours(1)), JobKind::enroll), noon + minutes(1),
            Wait{noon + hours(1)}, State::pending,
            "not enrolled; the CA has accepted the request on 2026-01-01 12:00:00 UTC and has not issued yet; asks "
            "again "
            "at 2026-01-01 13:00:00 UTC"},
        Row{"WhoseRequestHasWaited", situation({}, accepted(noon, noon + hours(1)), JobKind::enroll), noon + hours(1),
            Poll{JobKind::enroll}, State::pending,
            "not enrolled; the CA has accepted the request on 2026-01-01 12:00:00 UTC and has not issued yet; asks "
            "again "
            "at the next run"},
        Row{"WhoseRequestWasCutShort", situation({}, {}, JobKind::enroll), noon, Poll{JobKind::enroll},
            State::unenrolled, "not enrolled; enrolls at the next run"},
        Row{"FreshlyEnrolled", situation(ninety_days), noon, Wait{renewal}, State::valid,
            "valid until 2026-04-01 00:00:00 UTC; renews at 2026-03-02 00:00:00 UTC"},
        Row{"AtTwoThirdsOfItsLifetime", situation(ninety_days), renewal, Renew{}, State::valid,
            "valid until 2026-04-01 00:00:00 UTC; renews at the next run"},
        Row{"ThatFailedToRenew", situation(ninety_days, failed(renewal, renewal + minutes(3))), renewal + minutes(1),
            Wait{renewal + minutes(3)}, State::degraded,
            "valid until 2026-04-01 00:00:00 UTC; the last renewal failed: cannot enroll (no); tries again at "
            "2026-03-02 "
            "00:03:00 UTC"},
        Row{"ThatFailedToRenewAndHasWaited", situation(ninety_days, failed(renewal, renewal + minutes(3))),
            renewal + minutes(3), Renew{}, State::degraded,
            "valid until 2026-04-01 00:00:00 UTC; the last renewal failed: cannot enroll (no); tries again at the next "
            "run"},
        Row{"ThatTheOperatorMustHelpToRenew",
            situation(ninety_days, failed(renewal, renewal + hours(6), Retry::after_operator)), renewal + hours(1),
            Wait{renewal + hours(6)}, State::blocked,
            "valid until 2026-04-01 00:00:00 UTC; needs the operator: cannot enroll (no); ask the CA; looks again at "
            "2026-03-02 06:00:00 UTC"},
        Row{"WhoseRenewalWaits", situation(ninety_days, accepted(renewal, renewal + hours(1)), JobKind::renew),
            renewal + minutes(1), Wait{renewal + hours(1)}, State::renewing,
            "valid until 2026-04-01 00:00:00 UTC; the CA has accepted the request on 2026-03-02 00:00:00 UTC and has "
            "not "
            "issued yet; asks again at 2026-03-02 01:00:00 UTC"},
        Row{"WhoseRenewalWasCutShort", situation(ninety_days, {}, JobKind::renew), renewal, Poll{JobKind::renew},
            State::valid, "valid until 2026-04-01 00:00:00 UTC; renews at the next run"},
        Row{"InItsLastSecond", situation(ninety_days), january + days(90), Renew{}, State::valid,
            "valid until 2026-04-01 00:00:00 UTC; renews at the next run"},
        Row{"ThatHasExpired", situation(ninety_days), january + days(90) + Seconds(1), Enroll{}, State::expired,
            "expired on 2026-04-01 00:00:00 UTC; enrolls again with the IDevID at the next run"},
        Row{"ThatHasExpiredAndFailed", situation(ninety_days, failed(january + days(91), january + days(92))),
            january + days(91), Wait{january + days(92)}, State::expired,
            "expired on 2026-04-01 00:00:00 UTC; the last enrollment failed: cannot enroll (no); tries again at "
            "2026-04-03 00:00:00 UTC"},
        Row{"ThatHasExpiredWhileARenewalWaited",
            situation(ninety_days, accepted(renewal, january + days(91)), JobKind::renew), january + days(91), Enroll{},
            State::expired, "expired on 2026-04-01 00:00:00 UTC; enrolls again with the IDevID at the next run"},
        Row{"WhoseClockWasResetToTheEpoch", situation(ninety_days), Time(hours(1)), Wait{january - minutes(1)},
            State::waiting_for_clock,
            "valid until 2026-04-01 00:00:00 UTC; the clock says 1970-01-01 01:00:00 UTC, which is before 2025-12-31 "
            "23:59:00 UTC and cannot be: nothing is done until it is set"},
        Row{"WhoseClockWasTurnedBackAfterAFailure",
            situation({}, failed(noon + years(70), noon + years(70) + hours(1))), noon, Enroll{}, State::unenrolled,
            "not enrolled; the last enrollment failed: cannot enroll (no); tries again at the next run"},
        Row{"WhoseLastAttemptWasCutShort",
            situation(ninety_days, {.attempts = 1, .last_attempt = renewal, .next_attempt = renewal + minutes(1)}),
            renewal, Wait{renewal + minutes(1)}, State::degraded,
            "valid until 2026-04-01 00:00:00 UTC; the last renewal failed: it was cut short; tries again at 2026-03-02 "
            "00:01:00 UTC"}),
    [](const auto& param) { return param.param.name; });

// Of a certificate for a day, as step-ca issues it: renewed after 16 h, 8 h are left then.
constexpr Validity one_day{.not_before = january, .not_after = january + hours(24)};
constexpr Time sixteen = january + hours(16);
constexpr RetryPolicy retry{.minimum = minutes(1), .maximum = hours(6)};

struct Deadline {
  const char* name;
  Situation situation;
  Time now;
  Time due;
  RetryPolicy policy = retry;
};

void PrintTo(const Deadline& row, std::ostream* out) { *out << row.name; }

class AWait : public testing::TestWithParam<Deadline> {};

TEST_P(AWait, EndsThen) {
  const Deadline& row = GetParam();
  const Profile profile{.retry = row.policy};
  EXPECT_EQ(assess(row.situation, profile, row.now).next_attempt, row.due);
  EXPECT_EQ(std::holds_alternative<Wait>(next_step(row.situation, profile, row.now)), row.now < row.due);
  EXPECT_FALSE(std::holds_alternative<Wait>(next_step(row.situation, profile, std::max(row.due, row.now))));
}

INSTANTIATE_TEST_SUITE_P(
    Each, AWait,
    testing::Values(
        Deadline{"ShortEnoughIsAsRecorded", situation(one_day, failed(sixteen, sixteen + hours(4))), sixteen,
                 sixteen + hours(4)},
        Deadline{"OfAMonthAfterAFailureLeavesHalfOfTheCredentialsTime",
                 situation(one_day, failed(sixteen, sixteen + days(30))), sixteen, sixteen + hours(4)},
        Deadline{"OfAMonthForAPendingRenewalLeavesHalfOfTheCredentialsTime",
                 situation(one_day, accepted(sixteen, sixteen + days(30)), JobKind::renew), sixteen,
                 sixteen + hours(4)},
        Deadline{"ForTheOperatorLeavesHalfOfTheCredentialsTime",
                 situation(one_day, failed(sixteen + hours(4), sixteen + hours(10), Retry::after_operator)),
                 sixteen + hours(4), sixteen + hours(6)},
        Deadline{"IsNotShorterThanTheMinimum",
                 situation(one_day, failed(january + hours(24) - minutes(3), january + hours(30))),
                 january + hours(24) - minutes(3),
                 january + hours(24) - minutes(1),
                 {minutes(2), hours(6)}},
        Deadline{"GoesPastTheExpiryByTheMinimumAtMost",
                 situation(one_day, failed(january + hours(24) - Seconds(10), january + hours(30))),
                 january + hours(24) - Seconds(10), january + hours(24) + Seconds(50)},
        Deadline{"EndsLongBeforeADeviceThatWasOffComesBack",
                 situation(one_day, failed(sixteen, sixteen + days(30)), JobKind::renew), january + days(3),
                 sixteen + hours(4)},
        Deadline{"AfterTheExpiryIsADayAtMost", situation(one_day, failed(january + days(2), january + days(32))),
                 january + days(2), january + days(3)},
        Deadline{"WithoutACredentialIsADayAtMost", situation({}, failed(noon, noon + years(70))), noon, noon + days(1)},
        Deadline{"ForAPendingEnrollmentIsADayAtMost", situation({}, accepted(noon, noon + years(70)), JobKind::enroll),
                 noon, noon + days(1)},
        Deadline{"IsAsLongAsTheProfileWants",
                 situation({}, failed(noon, noon + days(6))),
                 noon,
                 noon + days(6),
                 {minutes(1), days(7)}},
        Deadline{"OfALongCredentialIsADayAtMost", situation(ninety_days, failed(renewal, renewal + years(70))), renewal,
                 renewal + days(1)},
        Deadline{"ThatNobodyRecordedIsOver", situation(ninety_days, {.attempts = 1, .last_attempt = renewal}), renewal,
                 started}),
    [](const auto& param) { return param.param.name; });

TEST(AnIdentityWithAJob, IsEnrollingOrRenewing) {
  Situation busy = situation({});
  busy.running = JobKind::enroll;
  EXPECT_EQ(assess(busy, {}, noon).state, State::enrolling);
  busy.running = JobKind::renew;
  EXPECT_EQ(assess(busy, {}, noon).state, State::renewing);
}

TEST(AnIdentityWithAPendingRequest, StaysPendingWhenAskingAgainFails) {
  Record record = accepted(noon, noon + hours(2));
  record.attempts = 1;
  record.last_error = error(Retry::later);
  const Assessment assessment = assess(situation({}, record, JobKind::enroll), {}, noon + hours(1));
  EXPECT_EQ(assessment.state, State::pending);
  EXPECT_EQ(assessment.reason,
            "not enrolled; the CA has accepted the request on 2026-01-01 12:00:00 UTC and has not issued yet; asking "
            "again failed: cannot enroll (no); asks again at 2026-01-01 14:00:00 UTC");
}

TEST(AnIdentityWhoseConfigurationIsWrong, IsBlockedAndKeepsItsCredential) {
  const Error wrong{.code = Errc::config_invalid, .what = "a.toml:1:1: unknown key 'x'", .hint = "did you mean 'y'?"};
  const Assessment assessment = assess_misconfigured(situation(ninety_days), wrong, noon);
  EXPECT_EQ(assessment.state, State::blocked);
  EXPECT_EQ(
      assessment.reason,
      "valid until 2026-04-01 00:00:00 UTC; the configuration is wrong: a.toml:1:1: unknown key 'x'; did you mean "
      "'y'?; put it right, then run devidctl reload");
  EXPECT_FALSE(assessment.next_attempt);
}

TEST(AnIdentityWhoseRenewalTimeIsClamped, SaysSo) {
  Profile profile;
  profile.renewal.at = BeforeExpiry{days(365)};
  EXPECT_EQ(
      assess(situation(ninety_days), profile, noon).reason,
      "valid until 2026-04-01 00:00:00 UTC; renews at 2026-02-15 00:00:00 UTC, after half of the lifetime, because "
      "renew_at is not shorter than that");
}

TEST(ACertificateThatIsIssuedPastItsRenewalTime, IsRenewedAfterHalfOfWhatIsLeft) {
  const Record issued_late{.last_success = january + days(80)};
  EXPECT_EQ(next_step(situation(ninety_days, issued_late), without_looks(), january + days(81)),
            Step(Wait{january + days(85)}));
  EXPECT_EQ(next_step(situation(ninety_days, issued_late), without_looks(), january + days(85)), Step(Renew{}));
}

TEST(AStepForward, IsTakenBeforeItIsDue) {
  EXPECT_EQ(step_forward(situation(ninety_days), without_looks(), noon), Step(Renew{}));
  EXPECT_EQ(kind_of(step_forward(situation(ninety_days), without_looks(), noon)), JobKind::renew);
  EXPECT_EQ(kind_of(step_forward(situation(ninety_days), without_looks(), january + days(91))), JobKind::enroll);
  EXPECT_EQ(kind_of(Poll{JobKind::renew}), JobKind::renew);
  EXPECT_EQ(step_forward(situation(ninety_days, {}, JobKind::enroll), without_looks(), noon),
            Step(Poll{JobKind::enroll}));
}

struct Turn {
  Errc code;
  std::optional<JobKind> request;
  Step next;
};

TEST(ACredentialThatIsOfNoUse, GivesWayToTheIdevid) {
  const std::vector<Turn> turns = {
      {Errc::token_no_such_key, {}, Enroll{}},
      {Errc::token_wrong_key, {}, Enroll{}},
      {Errc::token_auth_failed, {}, Enroll{}},
      {Errc::token_auth_failed, JobKind::renew, Enroll{}},
      {Errc::token_wrong_key, JobKind::renew, Enroll{}},
      {Errc::token_wrong_key, JobKind::enroll, Poll{JobKind::enroll}},
      {Errc::server_unauthorized, {}, Enroll{}},
      {Errc::tls_failed, {}, Enroll{}},
      {Errc::tls_failed, JobKind::renew, Enroll{}},
      {Errc::server_unauthorized, JobKind::renew, Enroll{}},
      {Errc::server_refused, {}, Enroll{}},
      {Errc::server_unavailable, {}, Renew{}},
      {Errc::token_unreachable, {}, Renew{}},
      {Errc::cancelled, {}, Renew{}},
  };
  for (const Turn& turn : turns) {
    SCOPED_TRACE(code_name(turn.code));
    Record record = failed(renewal, renewal + hours(1));
    record.method = JobKind::renew;
    record.last_error->code = turn.code;
    const Situation tried = situation(ninety_days, record, turn.request);
    EXPECT_EQ(step_forward(tried, without_looks(), renewal), turn.next);
    const bool enrolls = kind_of(turn.next) == JobKind::enroll;
    EXPECT_EQ(check_allowed("gateway", tried, without_looks(), JobKind::enroll, {}, renewal).has_value(), enrolls);
    EXPECT_TRUE(check_allowed("gateway", tried, without_looks(), JobKind::renew, {}, renewal))
        << "somebody may know better";
  }
}

TEST(ACredentialThatIsOfNoUse, DoesNotTakeARequestAlongThatTheCaHasAccepted) {
  Record record = failed(renewal, renewal + hours(1));
  record.method = JobKind::renew;
  record.pending_since = renewal - hours(1);
  record.last_error->code = Errc::server_unauthorized;
  EXPECT_EQ(step_forward(situation(ninety_days, record, JobKind::renew), without_looks(), renewal),
            Step(Poll{JobKind::renew}));
}

TEST(ACredentialThatIsOfNoUse, HasItsTurnAgainAfterTheIdevid) {
  Record record = failed(renewal, renewal + hours(1));
  record.method = JobKind::enroll;
  record.last_error->code = Errc::server_unauthorized;
  EXPECT_EQ(step_forward(situation(ninety_days, record), without_looks(), renewal), Step(Renew{}));
}

TEST(ACredentialThatIsValid, IsLookedAfterAtTheIntervalOfTheProfile) {
  const Profile profile;  // a day
  Record record{.last_success = january};
  EXPECT_EQ(next_step(situation(ninety_days, record), profile, noon), Step(Wait{january + days(1)}));
  EXPECT_EQ(next_step(situation(ninety_days, record), profile, january + days(1)), Step(Refresh{}));
  EXPECT_EQ(kind_of(Refresh{}), JobKind::refresh);
  record.next_refresh = january + days(2);
  EXPECT_EQ(next_step(situation(ninety_days, record), profile, january + days(1)), Step(Wait{january + days(2)}));
  record.next_refresh = january + days(2000);
  EXPECT_EQ(next_step(situation(ninety_days, record), profile, noon), Step(Refresh{})) << "the clock was turned back";
  EXPECT_EQ(next_step(situation(ninety_days, record), profile, renewal), Step(Renew{})) << "which looks by itself";
  EXPECT_EQ(next_step(situation({}, record), profile, noon), Step(Enroll{}));
}

TEST(ACredentialThatItsCaHasRevoked, IsReplacedAtOnceByTheIdevid) {
  const Record revoked{.last_success = january, .revoked = true};
  EXPECT_EQ(next_step(situation(ninety_days, revoked), {}, noon), Step(Enroll{}));
  EXPECT_EQ(assess(situation(ninety_days, revoked), {}, noon).state, State::degraded);
  EXPECT_TRUE(check_allowed("gateway", situation(ninety_days, revoked), {}, JobKind::enroll, {}, noon));
}

TEST(AProfileThatForbidsTheIdevidASecondTime, RenewsWhateverHappens) {
  Profile profile;
  profile.renewal.enroll_again = false;
  EXPECT_EQ(step_forward(situation(ninety_days), profile, january + days(91)), Step(Renew{}));
  EXPECT_EQ(step_forward(situation(ninety_days, {.revoked = true}), profile, noon), Step(Renew{}));
  EXPECT_EQ(step_forward(situation({}), profile, noon), Step(Enroll{}));
  EXPECT_TRUE(check_allowed("gateway", situation(ninety_days), profile, JobKind::renew, {}, january + days(91)));
  EXPECT_FALSE(check_allowed("gateway", situation(ninety_days), profile, JobKind::enroll, {}, january + days(91)));
}

}  // namespace
}  // namespace devid::identity
