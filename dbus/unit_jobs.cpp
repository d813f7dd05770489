#include "dbus/unit_jobs.h"

#include <chrono>
#include <utility>

namespace devid {
namespace {

constexpr const char* manager_name = "org.freedesktop.systemd1";
constexpr const char* manager_path = "/org/freedesktop/systemd1";
constexpr const char* manager_interface = "org.freedesktop.systemd1.Manager";

constexpr auto answer_timeout = std::chrono::seconds(30);
/// Longer than systemd gives a service by default to stop and to start.
constexpr auto job_timeout = std::chrono::minutes(5);

const char* method_of(identity::UnitVerb verb) {
  switch (verb) {
    case identity::UnitVerb::start: return "StartUnit";
    case identity::UnitVerb::reload: return "ReloadUnit";
    case identity::UnitVerb::restart: return "RestartUnit";
    case identity::UnitVerb::try_restart: return "TryRestartUnit";
    case identity::UnitVerb::reload_or_restart: return "ReloadOrRestartUnit";
    case identity::UnitVerb::try_reload_or_restart: return "ReloadOrTryRestartUnit";
  }
  return "ReloadUnit";
}

Error failed(const identity::UnitAction& action, std::string reason) {
  return {.code = Errc::internal,
          .retry = Retry::later,
          .what = "systemd could not " + to_text(action),
          .reason = std::move(reason),
          .hint = "look at: systemctl status " + action.unit};
}

/// What systemd, polkit or the bus answered instead of a job.
Error refused(const identity::UnitAction& action, const sdbus::Error& error) {
  const std::string& name = error.getName();
  Error result = failed(action, printable(error.getMessage(), 300) + " [" + printable(name, 100) + "]");
  if (name == "org.freedesktop.DBus.Error.AccessDenied" ||
      name == "org.freedesktop.DBus.Error.InteractiveAuthorizationRequired") {
    result.code = Errc::not_authorized;
    result.retry = Retry::after_operator;
    result.hint = "name the unit in a rule of polkit: devidd(8), \"Units after a rotation\"";
  } else if (name == "org.freedesktop.systemd1.NoSuchUnit" || name == "org.freedesktop.systemd1.LoadFailed") {
    result.code = Errc::config_invalid;
    result.retry = Retry::after_operator;
  } else if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
             name == "org.freedesktop.DBus.Error.NameHasNoOwner") {
    result.hint = "after_rotation needs systemd on the system bus";
  }
  return result;
}

}  // namespace

/// Without Subscribe, systemd tells nobody how jobs end.
void UnitJobs::connect() {
  if (manager_) return;
  manager_ = sdbus::createProxy(connection_, manager_name, manager_path);
  manager_->uponSignal("JobRemoved")
      .onInterface(manager_interface)
      .call([this](const std::uint32_t& /*id*/, const sdbus::ObjectPath& job, const std::string& /*unit*/,
                   const std::string& result) { removed(job, result); });
  manager_->finishRegistration();
  manager_->callMethodAsync("Subscribe").onInterface(manager_interface).uponReplyInvoke([](const sdbus::Error*) {});
}

void UnitJobs::request(const identity::UnitAction& action, Done done) {
  const std::uint64_t number = ++last_;
  asked_.emplace(number, Asked{.action = action, .done = std::move(done), .job = {}});
  loop_.after(job_timeout, [this, number] {
    const auto found = asked_.find(number);
    if (found != asked_.end()) end(number, fail(failed(found->second.action, "it has not ended within five minutes")));
  });
  try {
    connect();
    manager_->callMethodAsync(method_of(action.verb))
        .onInterface(manager_interface)
        .withTimeout(answer_timeout)
        .withArguments(action.unit, std::string("replace"))
        .uponReplyInvoke(
            [this, number](const sdbus::Error* error, const sdbus::ObjectPath& job) { answered(number, error, job); });
  } catch (const sdbus::Error& error) {
    // Not from within the call: whoever asks is not prepared for an answer yet.
    loop_.post([this, number, problem = refused(action, error)] { end(number, fail(problem)); });
  }
}

void UnitJobs::answered(std::uint64_t number, const sdbus::Error* error, const sdbus::ObjectPath& job) {
  const auto found = asked_.find(number);
  if (found == asked_.end()) return;
  if (error != nullptr) {
    end(number, fail(refused(found->second.action, *error)));
  } else {
    found->second.job = job;
  }
}

/// One job may be that of several who asked.
void UnitJobs::removed(const std::string& job, const std::string& result) {
  std::map<std::uint64_t, identity::UnitAction> ended;
  for (const auto& [number, asked] : asked_)
    if (asked.job == job) ended.emplace(number, asked.action);
  for (const auto& [number, action] : ended) {
    // "skipped": the unit is not active, and has nothing to reload.
    const bool good = result == "done" || result == "skipped";
    end(number, good ? Result<>() : fail(failed(action, "the job's result is '" + printable(result, 40) + "'")));
  }
}

void UnitJobs::end(std::uint64_t number, const Result<>& outcome) {
  const auto asked = asked_.extract(number);
  if (asked) asked.mapped().done(outcome);
}

}  // namespace devid
