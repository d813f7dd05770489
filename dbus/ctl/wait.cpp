#include <chrono>
#include <iostream>
#include <memory>

#include "dbus/ctl/verbs.h"
#include "dbus/event_loop.h"

namespace devid::ctl {
namespace {

/// Whether services can use what is there. "degraded" is valid, but the last renewal failed.
bool has_valid_credential(const Properties& identity) {
  const auto now =
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch());
  const auto seconds = static_cast<std::uint64_t>(now.count());
  return number(identity, "Generation") != 0 && number(identity, "NotBefore") <= seconds &&
         seconds <= number(identity, "NotAfter");
}

}  // namespace

/// It looks again at each change of an identity that any devidd tells, and asks for nothing in between. What changes
/// between two looks ends the next wait at once: the match is there before the first look.
Exit wait(Client& client, const std::string& name, std::optional<std::chrono::seconds> timeout) {
  const auto loop = std::make_unique<EventLoop>();
  const auto is_over = std::make_unique<bool>(false);
  const auto match = client.connection().addMatch(
      "type='signal',sender='org.devid1',interface='org.freedesktop.DBus.Properties',member='PropertiesChanged',"
      "arg0='org.devid1.Identity'",
      [&loop](sdbus::Message&) { loop->quit(); });
  if (timeout) {
    loop->after(*timeout, [&loop, &is_over] {
      *is_over = true;
      loop->quit();
    });
  }
  while (true) {
    const auto identity = client.identity(name);
    if (!identity) return complain(identity.error());
    if (has_valid_credential(*identity)) return Exit::done;
    if (*is_over) {
      complain({.code = Errc::wrong_state,
                .what = name + " has no valid credential yet",
                .reason = text(*identity, "Reason"),
                .hint = "devidctl status --explain " + name});
      return Exit::pending;
    }
    const auto end = loop->run(client.connection());
    if (end == EventLoop::End::signal) return complain({.code = Errc::cancelled, .what = "no longer waiting"});
    if (end == EventLoop::End::disconnected)
      return complain({.code = Errc::internal, .what = "the system bus went away", .hint = "is dbus.service running?"});
  }
}

}  // namespace devid::ctl
