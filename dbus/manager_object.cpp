#include "dbus/manager_object.h"

#include <memory>
#include <utility>

#include "dbus/authorization.h"
#include "dbus/guard.h"
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
    // std::function wants what it holds to be copyable.
    service_.reload([reply = std::make_shared<sdbus::Result<>>(std::move(result))](const devid::Result<>& reloaded) {
      if (reloaded) {
        reply->returnResults();
      } else {
        reply->returnError(wire::to_dbus(reloaded.error()));
      }
    });
    return {};
  });
}

std::vector<wire::Dictionary> ManagerObject::ListTokens() {
  return guarded([this]() -> devid::Result<std::vector<wire::Dictionary>> {
    std::vector<wire::Dictionary> list;
    for (const auto& token : service_.tokens()) {
      list.push_back({{"name", sdbus::Variant(token.name)},
                      {"kind", sdbus::Variant(token.kind)},
                      {"location", sdbus::Variant(token.location)}});
    }
    return list;
  });
}

std::string ManagerObject::Version() { return version; }

bool ManagerObject::ClockTrusted() { return service_.clock_trusted(); }

}  // namespace devid
