#include "dbus/service.h"

#include <algorithm>
#include <utility>

#include "agent/identity/network.h"
#include "agent/identity/next_step.h"
#include "dbus/job_log.h"

namespace devid {
namespace {

std::vector<TokenDescription> describe(const Agent& agent) {
  std::vector<TokenDescription> list;
  for (const auto& [name, token] : agent.tokens()) list.push_back(token->description());
  return list;
}

void update_copies(Agent& agent) {
  for (const auto& [name, notice] : agent.update_copies()) log_notice(name, notice);
}

/// What is done at each look for what is due.
void look_around(Agent& agent) {
  for (const auto& [name, warning] : agent.expiry_warnings()) log_expiry(name, warning);
  update_copies(agent);
}

void retire_old(Agent& agent) {
  for (const auto& [name, retired] : agent.retire_old()) log_retired(name, retired);
}

/// Hands what happens in a job to the bus thread.
class Reporter final : public JobObserver {
 public:
  Reporter(const JobControl& control, std::string identity, std::function<void(Phase)> report)
      : control_(control), identity_(std::move(identity)), report_(std::move(report)) {}
  void entered(Phase phase) override { report_(phase); }
  void noticed(const Notice& notice) override { log_notice(identity_, notice); }
  void spent(const est::Traffic& traffic) override { traffic_ = traffic; }
  [[nodiscard]] bool cancelled() const override { return control_.cancelled; }

  [[nodiscard]] const est::Traffic& traffic() const { return traffic_; }

 private:
  const JobControl& control_;
  std::string identity_;
  std::function<void(Phase)> report_;
  est::Traffic traffic_;
};

}  // namespace

Service::Service(sdbus::IConnection& connection, EventLoop& loop, const Clock& clock, std::unique_ptr<Agent> agent,
                 std::chrono::seconds spread)
    : connection_(connection),
      loop_(loop),
      clock_(clock),
      tokens_(describe(*agent)),
      manager_(connection, *this),
      unit_jobs_(connection, loop),
      reconnection_(loop, clock, spread, [this](const std::string& name) { retry_with_network(name); }),
      clock_watch_(loop, [this] { clock_jumped(); }),
      worker_(adopt(std::move(agent))) {}

std::unique_ptr<Agent> Service::adopt(std::unique_ptr<Agent> agent) {
  take_over(agent->status());
  return agent;
}

Service::~Service() {
  cancel_jobs();
  worker_.stop();
  loop_.discard_posted();  // it refers to this, and to replies on a connection that ends before the loop does
}

void Service::cancel_jobs() {
  for (const auto& [number, job] : jobs_) job->control()->cancelled = true;
}

Result<sdbus::ObjectPath> Service::find_identity(const std::string& name) const {
  if (const auto found = identities_.find(name); found != identities_.end())
    return sdbus::ObjectPath(found->second->getObjectPath());
  std::string known;
  for (const auto& [other, object] : identities_) known.append(known.empty() ? "" : ", ").append(other);
  return fail({.code = Errc::no_such_identity,
               .retry = Retry::after_operator,
               .what = "there is no identity '" + printable(name, 80) + "'",
               .hint = known.empty() ? "describe one in /etc/devid/identities.d/NAME.toml, then: devidctl reload"
                                     : "there are: " + known});
}

JobObject* Service::job_that_serves(const std::string& identity, JobKind kind) const {
  for (const auto& [number, job] : jobs_)
    if (job->identity() == identity && (job->kind() != JobKind::refresh || kind == JobKind::refresh)) return job.get();
  return nullptr;
}

void Service::submit(Worker::Task task) {
  ++tasks_;
  worker_.submit(std::move(task));
}

Result<sdbus::ObjectPath> Service::start_job(const identity::Status& status, JobKind kind, JobOptions options) {
  if (const JobObject* running = job_that_serves(status.name, kind); running != nullptr) return running->path();
  if (refusing_) {
    return fail({.code = Errc::cancelled,
                 .retry = Retry::later,
                 .what = "devidd is just leaving",
                 .hint = "call again: the bus starts the next one"});
  }
  if (status.outlook) {
    const auto& [situation, profile] = *status.outlook;
    auto allowed = identity::check_allowed(status.name, situation, profile, kind, options, clock_.now());
    if (!allowed) return fail(std::move(allowed.error()));
  }
  const std::uint64_t number = ++last_job_;
  auto& job = jobs_[number] = std::make_unique<JobObject>(connection_, number, status.name, kind);
  job->announce();
  manager_.emitJobNew(job->path(), wire::identity_path(status.name));
  reconnection_.job_began(status.name);
  submit([this, number, name = status.name, kind, options, control = job->control()](Agent& agent) {
    Reporter reporter(*control, name,
                      [this, number](Phase phase) { loop_.post([this, number, phase] { begin(number, phase); }); });
    auto result = control->cancelled
                      ? Result<JobResult>(fail({.code = Errc::cancelled, .what = "the job was cancelled"}))
                      : agent.run(name, kind, options, reporter);
    retire_old(agent);
    update_copies(agent);
    loop_.post([this, number, result = std::move(result), traffic = reporter.traffic(),
                statuses = agent.status()]() mutable { finish(number, result, traffic, std::move(statuses)); });
  });
  return job->path();
}

void Service::refresh() {
  submit([this](Agent& agent) {
    look_around(agent);
    retire_old(agent);
    loop_.post([this, statuses = agent.status()]() mutable {
      --tasks_;
      take_over(std::move(statuses));
    });
  });
}

Result<std::vector<sdbus::ObjectPath>> Service::run_due() {
  // What is shown depends on the time, and a wrong profile may have been mended: somebody who asks every minute keeps
  // devidd from leaving, so it does not look again by starting again.
  const bool misconfigured =
      std::ranges::any_of(identities_, [](const auto& entry) { return !entry.second->status().outlook; });
  if (misconfigured) {
    reload([](const Result<>&) {});
  } else {
    refresh();
  }
  const Time now = clock_.now();
  std::vector<sdbus::ObjectPath> started;
  for (const auto& [name, object] : identities_) {
    const auto& status = object->status();
    if (!status.outlook) continue;
    const auto step = identity::next_step(status.outlook->situation, status.outlook->profile, now);
    if (std::holds_alternative<identity::Wait>(step)) continue;
    auto job = start_job(status, identity::kind_of(step), {});
    if (!job && job.error().code == Errc::cancelled) return fail(std::move(job.error()));
    if (job) started.push_back(*std::move(job));
  }
  return started;
}

/// The network is back: what did not wait for it in vain, or is not to be done yet all the same, stays as it is.
void Service::retry_with_network(const std::string& name) {
  const auto found = identities_.find(name);
  if (found == identities_.end() || refusing_) return;
  const auto& status = found->second->status();
  if (!status.outlook) return;
  const auto step = identity::step_with_network(status.outlook->situation, status.outlook->profile, clock_.now());
  if (std::holds_alternative<identity::Wait>(step)) return;
  if (start_job(status, identity::kind_of(step), {})) log_network(name);
}

void Service::clock_jumped() {
  if (refusing_) return;
  log_clock(clock_.now());
  static_cast<void>(run_due());
}

void Service::reload(std::function<void(const Result<>&)> done) {
  submit([this, done = std::move(done)](Agent& agent) {
    auto result = agent.reload();
    look_around(agent);
    loop_.post([this, done, result = std::move(result), statuses = agent.status(), tokens = describe(agent)]() mutable {
      --tasks_;
      log_reload(result);
      tokens_ = std::move(tokens);
      take_over(std::move(statuses));
      done(result);
    });
  });
}

void Service::trust(const std::string& name, std::string fingerprint,
                    std::function<void(const Result<identity::ServerAnchor>&)> done) {
  submit([this, name, fingerprint = std::move(fingerprint), done = std::move(done)](Agent& agent) {
    auto result = agent.trust(name, fingerprint);
    loop_.post([this, name, done, result = std::move(result), statuses = agent.status()]() mutable {
      --tasks_;
      log_trust(name, result);
      take_over(std::move(statuses));
      done(result);
    });
  });
}

void Service::rollback(const std::string& name, std::function<void(const Result<std::uint64_t>&)> done) {
  submit([this, name, done = std::move(done)](Agent& agent) {
    auto result = agent.rollback(name);
    loop_.post([this, name, done, result = std::move(result), statuses = agent.status()]() mutable {
      --tasks_;
      log_rollback(name, result);
      take_over(std::move(statuses));
      done(result);
    });
  });
}

void Service::forget(std::string name, std::shared_ptr<sdbus::Result<wire::Dictionary>> reply) {
  submit([this, name = std::move(name), reply = std::move(reply)](Agent& agent) {
    auto result = agent.forget(name);
    loop_.post([this, name, reply, result = std::move(result), statuses = agent.status()]() mutable {
      --tasks_;
      log_forgotten(name, result);
      take_over(std::move(statuses));
      if (result) {
        reply->returnResults(wire::Dictionary{{"keys_destroyed", sdbus::Variant(std::uint64_t{result->keys_destroyed})},
                                              {"keys_left", sdbus::Variant(std::uint64_t{result->keys_left})}});
      } else {
        reply->returnError(wire::to_dbus(result.error()));
      }
    });
  });
}

bool Service::clock_trusted() const {
  Time floor = clock_.floor();
  for (const auto& [name, object] : identities_)
    if (const auto& outlook = object->status().outlook)
      floor = std::max(floor, identity::clock_floor(outlook->situation));
  return clock_.now() >= floor;
}

void Service::begin(std::uint64_t number, Phase phase) {
  const auto found = jobs_.find(number);
  if (found == jobs_.end()) return;
  JobObject& job = *found->second;
  job.enter(phase);
  if (job.kind() == JobKind::refresh) return;  // the credential is as good as before
  const auto object = identities_.find(job.identity());
  if (object == identities_.end()) return;
  identity::Status status = object->second->status();
  status.state = job.kind() == JobKind::enroll ? identity::State::enrolling : identity::State::renewing;
  status.reason = "a job is running: " + std::string(phase_name(phase));
  object->second->update(std::move(status));
}

void Service::finish(std::uint64_t number, const Result<JobResult>& result, const est::Traffic& traffic,
                     std::vector<identity::Status> statuses) {
  --tasks_;
  const auto found = jobs_.find(number);
  const auto known = found == jobs_.end() ? identities_.end() : identities_.find(found->second->identity());
  const identity::Status before = known == identities_.end() ? identity::Status() : known->second->status();
  take_over(std::move(statuses));
  if (found == jobs_.end()) return;
  JobObject& job = *found->second;
  reconnection_.job_ended(job.identity());
  if (const auto object = identities_.find(job.identity()); object != identities_.end())
    log_job(job.kind(), result, traffic, before, object->second->status());
  const std::string outcome = job.finish(result);
  job.withdraw();
  manager_.emitJobRemoved(job.path(), wire::identity_path(job.identity()), outcome);
  jobs_.erase(found);
}

void Service::take_over(std::vector<identity::Status> statuses) {
  std::erase_if(identities_, [&](const auto& entry) {
    const bool gone = std::ranges::none_of(statuses, [&](const auto& status) { return status.name == entry.first; });
    if (!gone) return false;
    entry.second->withdraw();
    reconnection_.forget(entry.first);
    return true;
  });
  for (auto& status : statuses) {
    reconnection_.take(status);
    const std::string name = status.name;
    if (const auto found = identities_.find(name); found != identities_.end()) {
      found->second->update(std::move(status));
    } else {
      auto& object = identities_[name] = std::make_unique<IdentityObject>(connection_, *this, std::move(status));
      object->announce();
    }
  }
  loop_.post([this] { tell_consumers(); });
}

void Service::tell_consumers() {
  if (refusing_) return;
  for (const auto& [name, object] : identities_)
    for (const auto& told : object->status().consumers)
      if (identity::is_due(told, clock_.now())) tell(object->status(), told.action);
}

/// That it is to be done was written down with the generation, and stays so until systemd has said how it went: who
/// dies in between leaves it to the next devidd.
void Service::tell(const identity::Status& status, const identity::UnitAction& action) {
  if (!telling_.emplace(status.name, to_text(action)).second) return;
  unit_jobs_.request(action,
                     [this, name = status.name, generation = status.generation, action](const Result<>& outcome) {
                       log_told(name, action, outcome);
                       submit([this, name, generation, action, outcome](Agent& agent) {
                         agent.told(name, generation, action, outcome);
                         loop_.post([this, name, action, statuses = agent.status()]() mutable {
                           --tasks_;
                           telling_.erase({name, to_text(action)});
                           take_over(std::move(statuses));
                         });
                       });
                     });
}

}  // namespace devid
