#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "dbus/event_loop.h"
#include "dbus/identity_object.h"
#include "dbus/job_object.h"
#include "dbus/manager_object.h"
#include "dbus/worker.h"

namespace devid {

/// devidd on the bus: the objects, and the way from a call to a job on the worker and back.
/// Lives on the bus thread. What it answers with are copies that the worker has posted: nothing here waits.
class Service {
 public:
  /// Exports all objects; the name is requested by the caller afterwards. `agent` moves to the worker thread.
  Service(sdbus::IConnection& connection, EventLoop& loop, const Clock& clock, std::unique_ptr<Agent> agent);
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

  /// Starts a job, or answers with the one that is running for this identity. Error: wrong_state.
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

 private:
  /// Exports what the agent has before the worker takes it.
  std::unique_ptr<Agent> adopt(std::unique_ptr<Agent> agent);
  void submit(Worker::Task task);
  /// Lets the worker post every status as it is now.
  void refresh();
  void take_over(std::vector<identity::Status> statuses);
  void begin(std::uint64_t number, Phase phase);
  void finish(std::uint64_t number, const Result<JobResult>& result, std::vector<identity::Status> statuses);
  [[nodiscard]] JobObject* job_of(const std::string& identity) const;

  sdbus::IConnection& connection_;
  EventLoop& loop_;
  const Clock& clock_;
  std::vector<TokenDescription> tokens_;
  ManagerObject manager_;
  std::map<std::string, std::unique_ptr<IdentityObject>, std::less<>> identities_;
  std::map<std::uint64_t, std::unique_ptr<JobObject>> jobs_;
  std::uint64_t last_job_ = 0;
  bool refusing_ = false;
  unsigned tasks_ = 0;  ///< given to the worker and not come back
  Worker worker_;       // last: its thread ends first
};

}  // namespace devid
