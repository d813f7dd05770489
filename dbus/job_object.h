#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>

#include "agent/agent.h"
#include "dbus/wire.h"
#include "org.devid1.Job.adaptor.h"

namespace devid {

/// What the bus thread and the worker thread share of a job.
struct JobControl {
  std::atomic<bool> cancelled = false;
};

/// One job on the bus.
class JobObject final : public sdbus::AdaptorInterfaces<org::devid1::Job_adaptor> {
 public:
  JobObject(sdbus::IConnection& connection, std::uint64_t number, std::string identity, JobKind kind);
  JobObject(const JobObject&) = delete;
  JobObject& operator=(const JobObject&) = delete;
  JobObject(JobObject&&) = delete;
  JobObject& operator=(JobObject&&) = delete;
  ~JobObject();

  [[nodiscard]] sdbus::ObjectPath path() const { return getObjectPath(); }
  [[nodiscard]] const std::string& identity() const { return identity_; }
  [[nodiscard]] JobKind kind() const { return kind_; }
  [[nodiscard]] const std::shared_ptr<JobControl>& control() const { return control_; }

  void enter(devid::Phase phase);
  /// The result's name: "done", "pending", "failed", "cancelled".
  std::string finish(const Result<JobResult>& result);

  void announce() { getObject().emitInterfacesAddedSignal(); }
  void withdraw() { getObject().emitInterfacesRemovedSignal(); }

 private:
  void Cancel() override;
  sdbus::ObjectPath Identity() override { return wire::identity_path(identity_); }
  std::string Kind() override { return std::string(job_kind_name(kind_)); }
  std::string Phase() override { return phase_; }
  std::string State() override { return state_; }
  sdbus::Struct<std::string, std::string> Error() override;

  std::string identity_;
  JobKind kind_;
  std::string phase_;
  std::string state_ = "queued";
  std::optional<devid::Error> error_;
  std::shared_ptr<JobControl> control_ = std::make_shared<JobControl>();
};

}  // namespace devid
