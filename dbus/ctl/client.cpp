#include "dbus/ctl/client.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace devid::ctl {
namespace {

/// What the worker answers waits for a running job, which may take as long as its profile allows.
constexpr auto worker_timeout = std::chrono::hours(4);

/// Runs a call; what sdbus-c++ throws becomes an Error.
template <class Call>
auto attempt(Call&& call) -> Result<std::invoke_result_t<Call>> {
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Call>>) {
      std::forward<Call>(call)();
      return {};
    } else {
      return std::forward<Call>(call)();
    }
  } catch (const sdbus::Error& error) {
    return fail(wire::from_dbus(error));
  }
}

}  // namespace

Result<Client> Client::connect() {
  try {
    return Client(sdbus::createSystemBusConnection());
  } catch (const sdbus::Error& error) {
    return fail({.code = Errc::internal,
                 .retry = Retry::later,
                 .what = "cannot reach the system bus",
                 .reason = error.getMessage(),
                 .hint = "is dbus.service running?"});
  }
}

std::unique_ptr<sdbus::IProxy> Client::proxy(const std::string& path) {
  return sdbus::createProxy(*connection_, wire::bus_name, path);
}

Result<std::string> Client::owner() {
  return attempt([this] {
    std::string name;
    sdbus::createProxy(*connection_, "org.freedesktop.DBus", "/org/freedesktop/DBus")
        ->callMethod("GetNameOwner")
        .onInterface("org.freedesktop.DBus")
        .withArguments(std::string(wire::bus_name))
        .storeResultsTo(name);
    return name;
  });
}

Result<std::vector<Properties>> Client::identities() {
  using Interfaces = std::map<std::string, Properties>;
  return attempt([this] {
    std::map<sdbus::ObjectPath, Interfaces> objects;
    proxy(wire::root_path)
        ->callMethod("GetManagedObjects")
        .onInterface("org.freedesktop.DBus.ObjectManager")
        .storeResultsTo(objects);
    std::vector<Properties> list;
    for (auto& [path, interfaces] : objects)
      if (const auto found = interfaces.find(wire::identity_interface); found != interfaces.end())
        list.push_back(std::move(found->second));
    std::ranges::sort(list, {}, [](const Properties& one) { return text(one, "Name"); });
    return list;
  });
}

Result<sdbus::ObjectPath> Client::identity_path(const std::string& name) {
  return attempt([&] {
    sdbus::ObjectPath path;
    proxy(wire::root_path)
        ->callMethod("GetIdentity")
        .onInterface(wire::manager_interface)
        .withArguments(name)
        .storeResultsTo(path);
    return path;
  });
}

Result<Properties> Client::identity(const std::string& name) {
  const auto path = identity_path(name);
  if (!path) return fail(path.error());
  return attempt([&] {
    Properties properties;
    proxy(*path)
        ->callMethod("GetAll")
        .onInterface("org.freedesktop.DBus.Properties")
        .withArguments(std::string(wire::identity_interface))
        .storeResultsTo(properties);
    return properties;
  });
}

Result<wire::Dictionary> Client::credential(const std::string& name) {
  const auto path = identity_path(name);
  if (!path) return fail(path.error());
  return attempt([&] {
    wire::Dictionary credential;
    proxy(*path)->callMethod("GetCredential").onInterface(wire::identity_interface).storeResultsTo(credential);
    return credential;
  });
}

Result<std::vector<std::string>> Client::explain(const std::string& name) {
  const auto path = identity_path(name);
  if (!path) return fail(path.error());
  return attempt([&] {
    std::vector<std::string> sentences;
    proxy(*path)->callMethod("Explain").onInterface(wire::identity_interface).storeResultsTo(sentences);
    return sentences;
  });
}

Result<sdbus::ObjectPath> Client::start(const std::string& name, const std::string& method,
                                        const wire::Dictionary& options) {
  auto path = identity_path(name);
  if (!path) return path;
  return attempt([&] {
    sdbus::ObjectPath job;
    proxy(*path)->callMethod(method).onInterface(wire::identity_interface).withArguments(options).storeResultsTo(job);
    return job;
  });
}

Result<wire::Dictionary> Client::trust(const std::string& name, const std::string& fingerprint) {
  const auto path = identity_path(name);
  if (!path) return fail(path.error());
  return attempt([&] {
    wire::Dictionary anchor;
    proxy(*path)
        ->callMethod("Trust")
        .onInterface(wire::identity_interface)
        .withTimeout(worker_timeout)
        .withArguments(fingerprint)
        .storeResultsTo(anchor);
    return anchor;
  });
}

Result<std::uint64_t> Client::rollback(const std::string& name) {
  const auto path = identity_path(name);
  if (!path) return fail(path.error());
  return attempt([&] {
    std::uint64_t generation = 0;
    proxy(*path)
        ->callMethod("Rollback")
        .onInterface(wire::identity_interface)
        .withTimeout(worker_timeout)
        .withArguments(wire::Dictionary())
        .storeResultsTo(generation);
    return generation;
  });
}

Result<wire::Dictionary> Client::forget(const std::string& name) {
  return attempt([&] {
    wire::Dictionary forgotten;
    proxy(wire::root_path)
        ->callMethod("Forget")
        .onInterface(wire::manager_interface)
        .withTimeout(worker_timeout)
        .withArguments(name, wire::Dictionary())
        .storeResultsTo(forgotten);
    return forgotten;
  });
}

Result<std::vector<sdbus::ObjectPath>> Client::run_due() {
  return attempt([this] {
    std::vector<sdbus::ObjectPath> jobs;
    proxy(wire::root_path)->callMethod("RunDue").onInterface(wire::manager_interface).storeResultsTo(jobs);
    return jobs;
  });
}

Result<std::vector<wire::Dictionary>> Client::tokens() {
  return attempt([this] {
    std::vector<wire::Dictionary> tokens;
    proxy(wire::root_path)->callMethod("ListTokens").onInterface(wire::manager_interface).storeResultsTo(tokens);
    return tokens;
  });
}

Result<std::vector<wire::Dictionary>> Client::inspect_tokens() {
  return attempt([this] {
    std::vector<wire::Dictionary> tokens;
    proxy(wire::root_path)
        ->callMethod("InspectTokens")
        .onInterface(wire::manager_interface)
        .withTimeout(worker_timeout)
        .storeResultsTo(tokens);
    return tokens;
  });
}

Result<Diagnosis> Client::diagnose() {
  return attempt([this] {
    Diagnosis diagnosis;
    proxy(wire::root_path)
        ->callMethod("Diagnose")
        .onInterface(wire::manager_interface)
        .withTimeout(worker_timeout)
        .storeResultsTo(diagnosis.evidence, diagnosis.advice);
    return diagnosis;
  });
}

Result<std::vector<wire::Dictionary>> Client::check() {
  return attempt([this] {
    std::vector<wire::Dictionary> problems;
    proxy(wire::root_path)
        ->callMethod("Check")
        .onInterface(wire::manager_interface)
        .withTimeout(worker_timeout)
        .storeResultsTo(problems);
    return problems;
  });
}

Result<> Client::reload() {
  return attempt([this] {
    proxy(wire::root_path)->callMethod("Reload").onInterface(wire::manager_interface).withTimeout(worker_timeout);
  });
}

std::string text(const Properties& properties, const std::string& name) {
  const auto found = properties.find(name);
  return found != properties.end() && found->second.containsValueOfType<std::string>()
             ? found->second.get<std::string>()
             : std::string();
}

std::uint64_t number(const Properties& properties, const std::string& name) {
  const auto found = properties.find(name);
  if (found == properties.end()) return 0;
  if (found->second.containsValueOfType<std::uint64_t>()) return found->second.get<std::uint64_t>();
  return found->second.containsValueOfType<std::uint32_t>() ? found->second.get<std::uint32_t>() : 0;
}

std::vector<std::string> texts(const Properties& properties, const std::string& name) {
  const auto found = properties.find(name);
  if (found == properties.end() || !found->second.containsValueOfType<std::vector<std::string>>()) return {};
  return found->second.get<std::vector<std::string>>();
}

std::vector<wire::Dictionary> dictionaries(const Properties& properties, const std::string& name) {
  const auto found = properties.find(name);
  if (found == properties.end() || !found->second.containsValueOfType<std::vector<wire::Dictionary>>()) return {};
  return found->second.get<std::vector<wire::Dictionary>>();
}

std::pair<std::string, std::string> error_of(const Properties& properties, const std::string& name) {
  using Pair = sdbus::Struct<std::string, std::string>;
  const auto found = properties.find(name);
  if (found == properties.end() || !found->second.containsValueOfType<Pair>()) return {};
  const auto pair = found->second.get<Pair>();
  return {pair.get<0>(), pair.get<1>()};
}

}  // namespace devid::ctl
