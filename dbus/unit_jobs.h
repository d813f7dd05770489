#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "agent/identity/consumers.h"
#include "base/result.h"
#include "dbus/event_loop.h"

namespace devid {

/// Asks systemd's manager over D-Bus to do something with units, and waits for the ends of its jobs without waiting.
/// Nothing is executed here, and no text reaches a shell. Lives on the bus thread.
class UnitJobs {
 public:
  using Done = std::function<void(const Result<>& outcome)>;

  UnitJobs(sdbus::IConnection& connection, EventLoop& loop) : connection_(connection), loop_(loop) {}

  /// `done` runs on the loop's thread, once, within five minutes. Errors: not_authorized, config_invalid (there is no
  /// such unit), internal.
  void request(const identity::UnitAction& action, Done done);

  [[nodiscard]] bool at_rest() const { return asked_.empty(); }

 private:
  struct Asked {
    identity::UnitAction action;
    Done done;
    std::string job;  ///< its path, once systemd has said it
  };
  void connect();
  void answered(std::uint64_t number, const sdbus::Error* error, const sdbus::ObjectPath& job);
  void removed(const std::string& job, const std::string& result);
  void end(std::uint64_t number, const Result<>& outcome);

  sdbus::IConnection& connection_;
  EventLoop& loop_;
  std::unique_ptr<sdbus::IProxy> manager_;
  std::uint64_t last_ = 0;
  std::map<std::uint64_t, Asked> asked_;
};

}  // namespace devid
