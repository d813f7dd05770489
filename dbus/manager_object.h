#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <string>
#include <vector>

#include "dbus/wire.h"
#include "org.devid1.Manager.adaptor.h"

namespace devid {

class Service;

/// The object /org/devid1: the Manager and the ObjectManager.
class ManagerObject final
    : public sdbus::AdaptorInterfaces<org::devid1::Manager_adaptor, sdbus::ObjectManager_adaptor> {
 public:
  ManagerObject(sdbus::IConnection& connection, Service& service);
  ManagerObject(const ManagerObject&) = delete;
  ManagerObject& operator=(const ManagerObject&) = delete;
  ManagerObject(ManagerObject&&) = delete;
  ManagerObject& operator=(ManagerObject&&) = delete;
  ~ManagerObject();

 private:
  sdbus::ObjectPath GetIdentity(const std::string& name) override;
  std::vector<sdbus::ObjectPath> RunDue() override;
  void Reload(sdbus::Result<>&& result) override;
  void Check(sdbus::Result<std::vector<wire::Dictionary>>&& result) override;
  void Forget(sdbus::Result<wire::Dictionary>&& result, std::string name, wire::Dictionary options) override;
  std::vector<wire::Dictionary> ListTokens() override;
  void InspectTokens(sdbus::Result<std::vector<wire::Dictionary>>&& result) override;
  void Diagnose(sdbus::Result<std::vector<wire::Dictionary>, std::vector<std::string>>&& result) override;
  std::string Version() override;
  bool ClockTrusted() override;

  Service& service_;
};

}  // namespace devid
