#include "tests/dbus/fake_systemd.h"

#include <chrono>

namespace devid::test {
namespace {

constexpr const char* interface = "org.freedesktop.systemd1.Manager";

}  // namespace

FakeSystemd::FakeSystemd(const PrivateBus& bus)
    : connection_(sdbus::createSessionBusConnectionWithAddress(bus.address())),
      object_(sdbus::createObject(*connection_, "/org/freedesktop/systemd1")) {
  for (const std::string method :
       {"StartUnit", "ReloadUnit", "RestartUnit", "TryRestartUnit", "ReloadOrRestartUnit", "ReloadOrTryRestartUnit"}) {
    object_->registerMethod(method).onInterface(interface).implementedAs(
        [this, method](const std::string& unit, const std::string& mode) {
          return take(method + " " + unit + " " + mode, unit);
        });
  }
  object_->registerMethod("Subscribe").onInterface(interface).implementedAs([this] {
    const std::lock_guard lock(mutex_);
    subscribed_ = true;
  });
  object_->registerSignal("JobRemoved")
      .onInterface(interface)
      .withParameters<std::uint32_t, sdbus::ObjectPath, std::string, std::string>();
  object_->finishRegistration();
  connection_->requestName("org.freedesktop.systemd1");
  connection_->enterEventLoopAsync();
}

FakeSystemd::~FakeSystemd() {
  connection_->leaveEventLoop();
  ends_.clear();
}

std::vector<std::string> FakeSystemd::calls() const {
  const std::lock_guard lock(mutex_);
  return calls_;
}

void FakeSystemd::end_jobs(const std::string& result) {
  const std::lock_guard lock(mutex_);
  result_ = result;
}

void FakeSystemd::refuse(const std::string& error) {
  const std::lock_guard lock(mutex_);
  error_ = error;
}

/// The end comes after the answer, as from systemd.
sdbus::ObjectPath FakeSystemd::take(const std::string& call, const std::string& unit) {
  const std::lock_guard lock(mutex_);
  calls_.push_back(call);
  if (!error_.empty()) throw sdbus::Error(error_, "refused by the test");
  const auto number = static_cast<std::uint32_t>(calls_.size());
  const sdbus::ObjectPath job = "/org/freedesktop/systemd1/job/" + std::to_string(number);
  if (result_.empty() || !subscribed_) return job;
  ends_.emplace_back([this, number, job, unit, result = result_] {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    object_->emitSignal("JobRemoved").onInterface(interface).withArguments(number, job, unit, result);
  });
  return job;
}

}  // namespace devid::test
