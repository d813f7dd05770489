#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "tests/support/private_bus.h"

namespace devid::test {

/// What devidd sees of systemd on the bus: it takes jobs for units, and says how they ended to those who have
/// subscribed.
class FakeSystemd {
 public:
  explicit FakeSystemd(const PrivateBus& bus);
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;
  FakeSystemd(FakeSystemd&&) = delete;
  FakeSystemd& operator=(FakeSystemd&&) = delete;
  ~FakeSystemd();

  /// "ReloadUnit nginx.service replace", in the order in which they came.
  [[nodiscard]] std::vector<std::string> calls() const;

  /// Jobs end with this result from now on; with an empty one they do not end.
  void end_jobs(const std::string& result);
  /// Calls are answered with this error from now on, and not taken; with none if it is empty.
  void refuse(const std::string& error);

 private:
  sdbus::ObjectPath take(const std::string& call, const std::string& unit);

  mutable std::mutex mutex_;  ///< guards what follows
  std::vector<std::string> calls_;
  std::string result_ = "done";
  std::string error_;
  bool subscribed_ = false;
  std::vector<std::jthread> ends_;
  std::unique_ptr<sdbus::IConnection> connection_;
  std::unique_ptr<sdbus::IObject> object_;
};

}  // namespace devid::test
