#include "dbus/manager_object.h"

#include <utility>

#include "dbus/authorization.h"
#include "dbus/guard.h"
#include "dbus/inventory.h"
#include "dbus/service.h"
#include "dbus/version.h"

namespace devid {

ManagerObject::ManagerObject(sdbus::IConnection& connection, Service& service)
    : AdaptorInterfaces(connection, wire::root_path), service_(service) {
  registerAdaptor();
}

ManagerObject::~ManagerObject() { unregisterAdaptor(); }

sdbus::ObjectPath ManagerObject::GetIdentity(const std::string& name) {
  return guarded([&] { return service_.find_identity(name); });
}

std::vector<sdbus::ObjectPath> ManagerObject::RunDue() {
  return guarded([this]() -> Result<std::vector<sdbus::ObjectPath>> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "run-due"); !caller)
      return fail(std::move(caller.error()));
    return service_.run_due();
  });
}

void ManagerObject::Reload(sdbus::Result<>&& result) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "reload"); !caller)
      return fail(std::move(caller.error()));
    service_.reload([reply = share(std::move(result))](const devid::Result<>& reloaded) {
      if (reloaded) {
        reply->returnResults();
      } else {
        reply->returnError(wire::to_dbus(reloaded.error()));
      }
    });
    return {};
  });
}

void ManagerObject::Check(sdbus::Result<std::vector<wire::Dictionary>>&& result) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "check"); !caller)
      return fail(std::move(caller.error()));
    service_.ask([](const Agent& agent) { return agent.check(); },
                 [reply = share(std::move(result))](const std::vector<Error>& errors) {
                   reply->returnResults(wire::to_dictionaries(errors));
                 });
    return {};
  });
}

void ManagerObject::Forget(sdbus::Result<wire::Dictionary>&& result, std::string name, wire::Dictionary options) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "forget"); !caller)
      return fail(std::move(caller.error()));
    if (!options.empty())
      return fail({.code = Errc::usage, .what = "option '" + printable(options.begin()->first, 40) + "' is not known"});
    service_.forget(std::move(name), share(std::move(result)));
    return {};
  });
}

std::vector<wire::Dictionary> ManagerObject::ListTokens() {
  return guarded(
      [this]() -> devid::Result<std::vector<wire::Dictionary>> { return wire::to_dictionaries(service_.tokens()); });
}

void ManagerObject::InspectTokens(sdbus::Result<std::vector<wire::Dictionary>>&& result) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "inspect-tokens"); !caller)
      return fail(std::move(caller.error()));
    service_.ask([](const Agent& agent) { return agent.inspect_tokens(); },
                 [reply = share(std::move(result))](const std::vector<TokenInspection>& tokens) {
                   reply->returnResults(wire::to_dictionaries(tokens));
                 });
    return {};
  });
}

void ManagerObject::Diagnose(sdbus::Result<std::vector<wire::Dictionary>, std::vector<std::string>>&& result) {
  guarded([&]() -> Result<> {
    if (auto caller = authorize(getObject().getCurrentlyProcessedMessage(), "diagnose"); !caller)
      return fail(std::move(caller.error()));
    service_.ask([](const Agent& agent) { return agent.diagnose(); },
                 [reply = share(std::move(result))](const Diagnosis& diagnosis) {
                   reply->returnResults(wire::to_dictionaries(diagnosis.evidence), diagnosis.advice);
                 });
    return {};
  });
}

std::string ManagerObject::Version() { return version; }

bool ManagerObject::ClockTrusted() { return service_.clock_trusted(); }

}  // namespace devid
