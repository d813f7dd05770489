#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "dbus/ctl/client.h"
#include "dbus/event_loop.h"

namespace devid::ctl {

/// How a job ended, as devidd told it.
struct JobOutcome {
  std::string identity;  ///< the identity's object path
  std::string result;    ///< "done", "pending", "failed", "cancelled"
  std::string code;      ///< of the error, empty without one
  std::string text;
};

/// Follows jobs from before they are started, so that nothing of them is missed. SIGINT and SIGTERM end the watch; the
/// jobs go on.
class JobWatch {
 public:
  /// Called with the path of the identity's object (empty for a job that ran before the watch) and the phase.
  using OnPhase = std::function<void(const std::string& identity, const std::string& phase)>;
  JobWatch(Client& client, OnPhase on_phase);

  /// Waits until all these jobs, which were just started, have ended. Error: internal if devidd goes away, cancelled if
  /// a signal ends the watch.
  Result<std::vector<JobOutcome>> wait_for(const std::vector<sdbus::ObjectPath>& jobs);

 private:
  void on_job_changed(const std::string& path, const Properties& changed);
  void stop_if_all_ended();

  Client& client_;
  OnPhase on_phase_;
  EventLoop loop_;
  std::set<std::string> waiting_;
  std::map<std::string, JobOutcome> seen_;  ///< by the job's path; `result` is empty until it has ended
  std::string owner_;                       ///< the connection that runs the jobs
  bool lost_ = false;
  std::vector<sdbus::Slot> matches_;
};

}  // namespace devid::ctl
