#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "dbus/clock_watch.h"
#include "dbus/event_loop.h"
#include "dbus/identity_object.h"
#include "dbus/job_object.h"
#include "dbus/manager_object.h"
#include "dbus/reconnection.h"
#include "dbus/unit_jobs.h"
#include "dbus/worker.h"

namespace devid {

/// devidd on the bus: the objects, and the way from a call to a job on the worker and back.
/// Lives on the bus thread. What it answers with are copies that the worker has posted: nothing here waits.
class Service {
 public:
  /// Exports all objects; the name is requested by the caller afterwards. `agent` moves to the worker thread.
  /// `spread`: of attempts once the network is back (reconnection.h).
  Service(sdbus::IConnection& connection, EventLoop& loop, const Clock& clock, std::unique_ptr<Agent> agent,
          std::chrono::seconds spread);
  Service(const Service&) = delete;
  Service& operator=(const Service&) = delete;
  Service(Service&&) = delete;
  Service& operator=(Service&&) = delete;
  /// Asks running jobs to stop, and waits for the worker.
  ~Service();

  /// From now on no job is started; a call that wants one is answered with Errc::cancelled, and may come again at once,
  /// to the next devidd.
  void refuse_jobs() { refusing_ = true; }
  void accept_jobs() { refusing_ = false; }
  /// Asks running jobs to stop where it does no harm. at_rest() tells when they have.
  void cancel_jobs();

  Result<sdbus::ObjectPath> find_identity(const std::string& name) const;

  /// Starts a job, or answers with the one that is running for this identity. Behind a look at the CA, which would do
  /// nothing of what is wanted, the job waits. Error: wrong_state.
  Result<sdbus::ObjectPath> start_job(const identity::Status& status, JobKind kind, JobOptions options);

  /// Starts what identity::next_step says is due.
  Result<std::vector<sdbus::ObjectPath>> run_due();

  /// Lets the worker answer `question(Agent&)` when it comes to it, and gives that to `done` on this thread.
  template <class Question, class Done>
  void ask(Question question, Done done) {
    submit([this, question = std::move(question), done = std::move(done)](Agent& agent) {
      loop_.post([this, done, answer = question(agent)] {
        --tasks_;
        done(answer);
      });
    });
  }

  /// Reads the configuration again on the worker, then calls `done` on this thread.
  void reload(std::function<void(const Result<>&)> done);

  /// Agent::trust on the worker, then calls `done` on this thread: what is to be seen on the bus has changed before.
  void trust(const std::string& name, std::string fingerprint,
             std::function<void(const Result<identity::ServerAnchor>&)> done);

  /// Agent::rollback on the worker, likewise.
  void rollback(const std::string& name, std::function<void(const Result<std::uint64_t>&)> done);
  /// Agent::forget on the worker; then the reply.
  void forget(std::string name, std::shared_ptr<sdbus::Result<wire::Dictionary>> reply);

  [[nodiscard]] const std::vector<TokenDescription>& tokens() const { return tokens_; }
  [[nodiscard]] bool clock_trusted() const;
  [[nodiscard]] Time now() const { return clock_.now(); }

  /// Nothing is running and nothing waits.
  [[nodiscard]] bool at_rest() const { return tasks_ == 0; }
  /// At rest, no unit is being told, and no attempt is about to be made for the network's sake.
  [[nodiscard]] bool may_leave() const { return at_rest() && unit_jobs_.at_rest() && !reconnection_.is_waiting(); }

 private:
  /// Exports what the agent has before the worker takes it.
  std::unique_ptr<Agent> adopt(std::unique_ptr<Agent> agent);
  void submit(Worker::Task task);
  void retry_with_network(const std::string& name);
  void clock_jumped();
  /// Lets the worker post every status as it is now.
  void refresh();
  void take_over(std::vector<identity::Status> statuses);
  /// Asks systemd for what the profiles want after a rotation, and was not done yet.
  void tell_consumers();
  void tell(const identity::Status& status, const identity::UnitAction& action);
  void begin(std::uint64_t number, Phase phase);
  void finish(std::uint64_t number, const Result<JobResult>& result, const est::Traffic& traffic,
              std::vector<identity::Status> statuses);
  /// A job that is queued or running, and does what is wanted: a look at the CA obtains nothing.
  [[nodiscard]] JobObject* job_that_serves(const std::string& identity, JobKind kind) const;

  sdbus::IConnection& connection_;
  EventLoop& loop_;
  const Clock& clock_;
  std::vector<TokenDescription> tokens_;
  ManagerObject manager_;
  std::map<std::string, std::unique_ptr<IdentityObject>, std::less<>> identities_;
  std::map<std::uint64_t, std::unique_ptr<JobObject>> jobs_;
  UnitJobs unit_jobs_;
  std::set<std::pair<std::string, std::string>> telling_;  ///< identity and action
  Reconnection reconnection_;
  ClockWatch clock_watch_;
  std::uint64_t last_job_ = 0;
  bool refusing_ = false;
  unsigned tasks_ = 0;  ///< given to the worker and not come back
  Worker worker_;       // last: its thread ends first
};

}  // namespace devid
