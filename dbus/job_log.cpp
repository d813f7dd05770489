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

void log_failure(JobKind kind, const Error& error, const identity::Status& status) {
  const bool valid = status.generation != 0;
  journal::Entry(
      error.code == Errc::cancelled ? journal::Priority::notice : journal::Priority::warning, journal::failed,
      fmt::format("identity '{}': {} failed: {}; {}{}{}", status.name, job_kind_name(kind), error.sentence(),
                  valid ? "the credential of generation " + std::to_string(status.generation) + " stays; " : "",
                  next_sentence(status), error.hint.empty() ? "" : "; hint: " + error.hint))
      .field("DEVID_IDENTITY", status.name)
      .field("DEVID_JOB", job_kind_name(kind))
      .field("DEVID_ERROR", code_name(error.code))
      .field("DEVID_RETRY", retry_name(error.retry))
      .write();
}

}  // namespace

std::string format_time(const std::optional<Time>& time) {
  return time ? fmt::format("{:%Y-%m-%d %H:%M:%S} UTC", fmt::gmtime(time->time_since_epoch().count())) : "never";
}

void log_job(JobKind kind, const Result<JobResult>& result, const identity::Status& status) {
  if (!result) {
    log_failure(kind, result.error(), status);
    return;
  }
  if (*result == JobResult::pending) {
    journal::Entry(journal::Priority::notice, journal::pending,
                   fmt::format("identity '{}': {} is pending at the CA; {}", status.name, job_kind_name(kind),
                               next_sentence(status)))
        .field("DEVID_IDENTITY", status.name)
        .field("DEVID_JOB", job_kind_name(kind))
        .write();
    return;
  }
  journal::Entry(journal::Priority::notice, journal::obtained,
                 fmt::format("identity '{}': generation {} is in place: {} issued by {}, valid until {}; {}",
                             status.name, status.generation, status.subject, status.issuer,
                             format_time(status.not_after), next_sentence(status)))
      .field("DEVID_IDENTITY", status.name)
      .field("DEVID_JOB", job_kind_name(kind))
      .field("DEVID_GENERATION", std::to_string(status.generation))
      .field("DEVID_FINGERPRINT", status.fingerprint)
      .write();
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
