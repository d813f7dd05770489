#include "dbus/wire.h"

#include <systemd/sd-bus.h>

#include <cstdlib>

#include "base/owned.h"

namespace devid::wire {
namespace {

constexpr std::string_view hint_mark = "\nhint: ";

/// What the bus itself answers when the daemon, or the right to talk to it, is missing.
Error bus_error(const sdbus::Error& error) {
  const std::string& name = error.getName();
  Error result{.code = Errc::internal,
               .retry = Retry::later,
               .what = "the call to devidd failed",
               .reason = error.getMessage() + " [" + name + "]"};
  if (name == "org.freedesktop.DBus.Error.AccessDenied") {
    result.code = Errc::not_authorized;
    result.retry = Retry::after_operator;
    result.what = "the system bus does not allow this call";
    result.hint = "run it as root";
  } else if (name == "org.freedesktop.DBus.Error.ServiceUnknown" ||
             name == "org.freedesktop.DBus.Error.NameHasNoOwner" ||
             name.starts_with("org.freedesktop.DBus.Error.Spawn") || name.starts_with("org.freedesktop.systemd1.")) {
    result.what = "devidd cannot be started";
    result.hint = "look at: journalctl -u devidd.service";
  } else if (name == "org.freedesktop.DBus.Error.NoReply" || name == "org.freedesktop.DBus.Error.Timeout") {
    result.what = "devidd did not answer";
    result.hint = "look at: journalctl -u devidd.service";
  }
  return result;
}

}  // namespace

sdbus::ObjectPath identity_path(const std::string& name) {
  char* path = nullptr;
  if (sd_bus_path_encode("/org/devid1/identity", name.c_str(), &path) < 0) return "/org/devid1/identity/_";
  const Owned<char, std::free> owner(path);
  return path;
}

sdbus::ObjectPath job_path(std::uint64_t number) { return "/org/devid1/job/" + std::to_string(number); }

std::string text_of(const Error& error) {
  std::string text = error.sentence();
  if (!error.hint.empty()) text.append(hint_mark).append(printable(error.hint));
  return text;
}

sdbus::Error to_dbus(const Error& error) {
  return {std::string(error_prefix).append(code_name(error.code)), text_of(error)};
}

Error from_dbus(const sdbus::Error& error) {
  const std::string_view name = error.getName();
  if (!name.starts_with(error_prefix)) return bus_error(error);
  Error result{.code = Errc::internal, .what = error.getMessage()};
  for (const Errc code : all_error_codes())
    if (code_name(code) == name.substr(error_prefix.size())) result.code = code;
  if (const std::size_t at = result.what.find(hint_mark); at != std::string::npos) {
    result.hint = result.what.substr(at + hint_mark.size());
    result.what.resize(at);
  }
  return result;
}

}  // namespace devid::wire
