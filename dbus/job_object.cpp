#include "dbus/job_object.h"

#include <utility>

#include "dbus/authorization.h"
#include "dbus/guard.h"

namespace devid {

JobObject::JobObject(sdbus::IConnection& connection, std::uint64_t number, std::string identity, JobKind kind)
    : AdaptorInterfaces(connection, wire::job_path(number)), identity_(std::move(identity)), kind_(kind) {
  registerAdaptor();
}

JobObject::~JobObject() { unregisterAdaptor(); }

void JobObject::enter(devid::Phase phase) {
  state_ = "running";
  phase_ = phase_name(phase);
  getObject().emitPropertiesChangedSignal(INTERFACE_NAME, {"Phase", "State"});
}

std::string JobObject::finish(const Result<JobResult>& result) {
  if (result) {
    state_ = *result == JobResult::done ? "done" : "pending";
  } else {
    state_ = result.error().code == Errc::cancelled ? "cancelled" : "failed";
    error_ = result.error();
  }
  getObject().emitPropertiesChangedSignal(INTERFACE_NAME, {"State", "Error"});
  return state_;
}

sdbus::Struct<std::string, std::string> JobObject::Error() {
  if (!error_) return {};
  return {std::string(code_name(error_->code)), wire::text_of(*error_)};
}

void JobObject::Cancel() {
  guarded([this]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "cancel"); !caller)
      return fail(std::move(caller.error()));
    control_->cancelled = true;
    return {};
  });
}

}  // namespace devid
