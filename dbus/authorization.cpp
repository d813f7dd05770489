#include "dbus/authorization.h"

#include <unistd.h>

#include "dbus/journal.h"

namespace devid {
namespace {

Error refusal(std::string_view action, std::string reason) {
  return {.code = Errc::not_authorized,
          .retry = Retry::after_operator,
          .what = std::string("not authorized to ").append(action),
          .reason = std::move(reason),
          .hint = "run it as root"};
}

Result<Caller> caller_of(const sdbus::Message* message, std::string_view action) {
  if (message == nullptr) return fail(refusal(action, "the call has no sender"));
  try {
    return Caller{.name = message->getSender(), .uid = message->getCredsEuid(), .pid = message->getCredsPid()};
  } catch (const sdbus::Error& error) {
    return fail(refusal(action, "the bus does not say who calls: " + error.getMessage()));
  }
}

}  // namespace

Result<Caller> authorize(const sdbus::Message* message, std::string_view action) {
  auto caller = caller_of(message, action);
  if (caller && (caller->uid == 0 || caller->uid == ::geteuid())) return caller;
  Error error = caller ? refusal(action, "uid " + std::to_string(caller->uid) + " is neither root nor the service user")
                       : std::move(caller.error());
  journal::Entry entry(journal::Priority::warning, journal::refused,
                       "refused a call to " + std::string(action) + ": " + error.reason + "; nothing was changed");
  if (caller) {
    entry.field("DEVID_CALLER", caller->name);
    entry.field("DEVID_CALLER_UID", std::to_string(caller->uid));
    entry.field("DEVID_CALLER_PID", std::to_string(caller->pid));
  }
  entry.field("DEVID_ERROR", code_name(error.code));
  entry.write();
  return fail(std::move(error));
}

}  // namespace devid
