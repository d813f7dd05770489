#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "tests/support/private_bus.h"

namespace devid::test {

/// A client that speaks D-Bus itself, for what devidctl would never send.
class BusClient {
 public:
  using Dictionary = std::map<std::string, sdbus::Variant>;

  explicit BusClient(const PrivateBus& bus)
      : connection_(sdbus::createSessionBusConnectionWithAddress(bus.address())) {}

  std::unique_ptr<sdbus::IProxy> proxy(const std::string& path) {
    return sdbus::createProxy(*connection_, "org.devid1", path);
  }

  Dictionary identity(const std::string& name = "gateway") {
    Dictionary properties;
    proxy("/org/devid1/identity/" + name)
        ->callMethod("GetAll")
        .onInterface("org.freedesktop.DBus.Properties")
        .withArguments(std::string("org.devid1.Identity"))
        .storeResultsTo(properties);
    return properties;
  }

  std::string start(const std::string& method, const Dictionary& options = {}) {
    sdbus::ObjectPath job;
    proxy("/org/devid1/identity/gateway")
        ->callMethod(method)
        .onInterface("org.devid1.Identity")
        .withArguments(options)
        .storeResultsTo(job);
    return job;
  }

  /// The paths of the jobs that exist now.
  std::vector<std::string> jobs() {
    std::map<sdbus::ObjectPath, std::map<std::string, Dictionary>> objects;
    proxy("/org/devid1")
        ->callMethod("GetManagedObjects")
        .onInterface("org.freedesktop.DBus.ObjectManager")
        .storeResultsTo(objects);
    std::vector<std::string> found;
    for (const auto& [path, interfaces] : objects)
      if (interfaces.contains("org.devid1.Job")) found.push_back(path);
    return found;
  }

 private:
  std::unique_ptr<sdbus::IConnection> connection_;
};

/// The D-Bus error name that a call fails with, "" if it succeeds.
template <class Call>
std::string error_of(Call&& call) {
  try {
    std::forward<Call>(call)();
    return {};
  } catch (const sdbus::Error& error) {
    return error.getName();
  }
}

}  // namespace devid::test
