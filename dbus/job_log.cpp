#include "dbus/job_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "dbus/journal.h"
#include "dbus/wire.h"

namespace devid {
namespace {

std::string next_sentence(const identity::Status& status) {
  return status.next_attempt ? "next attempt at " + format_time(status.next_attempt)
                             : std::string("nothing is planned");
}

/// A look that failed is tried again before anything else is.
std::string next_after_failure(JobKind kind, const identity::Status& status) {
  if (kind != JobKind::refresh || !status.outlook || !status.outlook->situation.record.next_refresh)
    return next_sentence(status);
  return "looks again at " + format_time(status.outlook->situation.record.next_refresh);
}

/// "3 requests, 1 TLS handshake, 2345 bytes sent, 3456 received", or "" for a job that came as far as no server.
std::string cost_text(const est::Traffic& traffic) {
  if (traffic.requests == 0) return {};
  const auto counted = [](unsigned count, std::string_view what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  return fmt::format("{}, {}, {} bytes sent, {} received; ", counted(traffic.requests, "request"),
                     counted(traffic.handshakes, "TLS handshake"), traffic.sent, traffic.received);
}

void add_cost(journal::Entry& entry, const est::Traffic& traffic) {
  if (traffic.requests == 0) return;
  entry.field("DEVID_REQUESTS", std::to_string(traffic.requests))
      .field("DEVID_CONNECTIONS", std::to_string(traffic.connections))
      .field("DEVID_HANDSHAKES", std::to_string(traffic.handshakes))
      .field("DEVID_BYTES_SENT", std::to_string(traffic.sent))
      .field("DEVID_BYTES_RECEIVED", std::to_string(traffic.received));
}

void log_failure(JobKind kind, const Error& error, const est::Traffic& traffic, const identity::Status& status) {
  const bool valid = status.generation != 0;
  journal::Entry entry(
      error.code == Errc::cancelled ? journal::Priority::notice : journal::Priority::warning, journal::failed,
      fmt::format("identity '{}': {} failed: {}; {}{}{}", status.name, job_kind_name(kind), error.sentence(),
                  valid ? "the credential of generation " + std::to_string(status.generation) + " stays; " : "",
                  next_after_failure(kind, status), error.hint.empty() ? "" : "; hint: " + error.hint));
  entry.field("DEVID_IDENTITY", status.name)
      .field("DEVID_JOB", job_kind_name(kind))
      .field("DEVID_ERROR", code_name(error.code))
      .field("DEVID_RETRY", retry_name(error.retry));
  add_cost(entry, traffic);
  entry.write();
}

}  // namespace

std::string format_time(const std::optional<Time>& time) {
  return time ? fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(time->time_since_epoch().count())) : "never";
}

void log_job(JobKind kind, const Result<JobResult>& result, const est::Traffic& traffic, const identity::Status& before,
             const identity::Status& status) {
  const bool is_news = kind != JobKind::refresh || before.generation != status.generation;
  if (result && *result == JobResult::done && !is_news) return;
  if (!result) {
    log_failure(kind, result.error(), traffic, status);
    return;
  }
  const bool is_pending = *result == JobResult::pending;
  const std::string message =
      is_pending ? fmt::format("identity '{}': {} is pending at the CA; {}{}", status.name, job_kind_name(kind),
                               cost_text(traffic), next_sentence(status))
                 : fmt::format("identity '{}': generation {} is in place: {} issued by {}, valid until {}; {}{}",
                               status.name, status.generation, status.subject, status.issuer,
                               format_time(status.not_after), cost_text(traffic), next_sentence(status));
  journal::Entry entry(journal::Priority::notice, is_pending ? journal::pending : journal::obtained, message);
  entry.field("DEVID_IDENTITY", status.name).field("DEVID_JOB", job_kind_name(kind));
  if (!is_pending)
    entry.field("DEVID_GENERATION", std::to_string(status.generation)).field("DEVID_FINGERPRINT", status.fingerprint);
  add_cost(entry, traffic);
  entry.write();
}

void log_notice(const std::string& identity, const Notice& notice) {
  journal::Entry entry(journal::Priority::warning, journal::noticed,
                       fmt::format("identity '{}': {}", identity, notice.sentence));
  entry.field("DEVID_IDENTITY", identity);
  for (const auto& [name, value] : notice.fields) entry.field(name, value);
  entry.write();
}

void log_expiry(const std::string& identity, const std::string& warning) {
  journal::Entry(journal::Priority::warning, journal::expiry, fmt::format("identity '{}': {}", identity, warning))
      .field("DEVID_IDENTITY", identity)
      .write();
}

void log_told(const std::string& identity, const identity::UnitAction& action, const Result<>& outcome) {
  const std::string message =
      outcome ? fmt::format("identity '{}': {}: done, as there is a new credential", identity, to_text(action))
              : fmt::format("identity '{}': the credential is in place, but {}; it is tried again{}", identity,
                            outcome.error().sentence(),
                            outcome.error().hint.empty() ? "" : "; hint: " + outcome.error().hint);
  journal::Entry entry(outcome ? journal::Priority::info : journal::Priority::warning, journal::consumers, message);
  entry.field("DEVID_IDENTITY", identity);
  entry.field("DEVID_UNIT", action.unit);
  if (!outcome) entry.field("DEVID_ERROR", code_name(outcome.error().code));
  entry.write();
}

void log_network(const std::string& identity) {
  journal::Entry(
      journal::Priority::info, journal::network,
      fmt::format("identity '{}': the network has changed; what failed for lack of it is tried again now", identity))
      .field("DEVID_IDENTITY", identity)
      .write();
}

void log_network_unwatched(const Error& error) {
  journal::Entry(journal::Priority::warning, journal::network,
                 error.sentence() + "; what fails for lack of a network waits for its next attempt" +
                     (error.hint.empty() ? "" : "; hint: " + error.hint))
      .field("DEVID_ERROR", code_name(error.code))
      .write();
}

void log_clock(Time now) {
  journal::Entry(journal::Priority::info, journal::clock,
                 "the clock was set, or the device has slept; it says " + format_time(now) +
                     ": what is due by it is looked for now")
      .write();
}

void log_reload(const Result<>& result) {
  if (result) {
    journal::Entry(journal::Priority::info, journal::configuration, "the configuration was read again").write();
    return;
  }
  journal::Entry(journal::Priority::error, journal::configuration,
                 "the new configuration is wrong: " + result.error().sentence() + "; the old one stays in force")
      .field("DEVID_ERROR", code_name(result.error().code))
      .write();
}

void log_trust(const std::string& identity, const Result<identity::ServerAnchor>& result) {
  const std::string message =
      result ? fmt::format("identity '{}': the operator accepted {} for {}; it is trusted from the next job on",
                           identity, result->certificate.subject(), printable(result->server))
             : result.error().sentence() + "; nothing more is trusted than before";
  journal::Entry entry(result ? journal::Priority::notice : journal::Priority::warning, journal::trust, message);
  entry.field("DEVID_IDENTITY", identity);
  if (result) entry.field("DEVID_FINGERPRINT", result->certificate.fingerprint());
  if (!result) entry.field("DEVID_ERROR", code_name(result.error().code));
  entry.write();
}

void log_retired(const std::string& identity, const Result<std::vector<std::uint64_t>>& retired) {
  const std::string message =
      retired ? fmt::format(
                    "identity '{}': generation {} is over its time of grace; it was "
                    "removed, and its key is destroyed unless it is in use",
                    identity, fmt::join(*retired, ", "))
              : fmt::format("identity '{}': {}; tried again at the next run", identity, retired.error().sentence());
  journal::Entry entry(retired ? journal::Priority::info : journal::Priority::warning, journal::retired, message);
  entry.field("DEVID_IDENTITY", identity);
  if (!retired) entry.field("DEVID_ERROR", code_name(retired.error().code));
  entry.write();
}

void log_rollback(const std::string& identity, const Result<std::uint64_t>& result) {
  const std::string message =
      result ? fmt::format("identity '{}': the operator went back to generation {}; it stays until it is renewed",
                           identity, *result)
             : result.error().sentence() + "; the current credential stays";
  journal::Entry entry(result ? journal::Priority::notice : journal::Priority::warning, journal::rolled_back, message);
  entry.field("DEVID_IDENTITY", identity);
  if (!result) entry.field("DEVID_ERROR", code_name(result.error().code));
  entry.write();
}

void log_forgotten(const std::string& identity, const Result<identity::Forgotten>& result) {
  const std::string message =
      result ? fmt::format(
                   "identity '{}': the operator had it forgotten; {} of its keys are destroyed, {} are left for "
                   "another try; it enrolls again if it has a profile",
                   printable(identity), result->keys_destroyed, result->keys_left)
             : result.error().sentence() + "; what is left can be forgotten again";
  journal::Entry entry(result ? journal::Priority::notice : journal::Priority::warning, journal::forgotten, message);
  entry.field("DEVID_IDENTITY", identity);
  if (!result) entry.field("DEVID_ERROR", code_name(result.error().code));
  entry.write();
}

void log_configuration_error(const Error& error) {
  journal::Entry(
      journal::Priority::error, journal::configuration,
      error.sentence() + "; mend it, then: devidctl reload" + (error.hint.empty() ? "" : "; hint: " + error.hint))
      .field("DEVID_ERROR", code_name(error.code))
      .write();
}

}  // namespace devid
