#include <systemd/sd-daemon.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <memory>

#include "base/openssl_memory.h"
#include "dbus/event_loop.h"
#include "dbus/job_log.h"
#include "dbus/journal.h"
#include "dbus/residence.h"
#include "dbus/service.h"
#include "dbus/version.h"
#include "tokens/pkcs11/pkcs11_token.h"
#include "tokens/tpm/tpm_token.h"

namespace devid {
namespace {

struct Options {
  Paths paths;
  unsigned idle_timeout = 60;    ///< seconds
  unsigned network_spread = 30;  ///< seconds
};

/// What is installed, and built, beside devidd.
std::filesystem::path beside_devidd(const char* program) {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path() / program;
}

TokenFactory token_factory(const Paths& paths) {
  return [probe = beside_devidd("devid-pkcs11-probe"),
          state = paths.state / ".tokens"](const Configuration& configuration) {
    const TpmConfiguration& tpm = configuration.tpm;
    Tokens tokens;
    tokens.emplace("tpm", std::make_unique<TpmToken>(TpmSpec{.tcti = tpm.tcti,
                                                             .storage_root = tpm.storage_root,
                                                             .owner_auth = tpm.owner_auth,
                                                             .endorsement_auth = tpm.endorsement_auth,
                                                             .storage_root_auth = tpm.storage_root_auth,
                                                             .key_auth = tpm.key_auth}));
    for (const Pkcs11Configuration& hsm : configuration.pkcs11) {
      tokens.emplace(hsm.name, std::make_unique<Pkcs11Token>(Pkcs11Spec{.name = hsm.name,
                                                                        .uri = hsm.uri,
                                                                        .module = hsm.module,
                                                                        .pin = hsm.pin,
                                                                        .store_certificates = hsm.store_certificates,
                                                                        .probe = probe,
                                                                        .state_directory = state}));
    }
    return tokens;
  };
}

/// Serves until a signal comes or nobody needs it. Before it leaves for idleness it gives the name back first, and then
/// answers what had come until that moment: no question is lost, the bus starts a new devidd for later ones. Jobs are
/// refused by then, because systemd ends a service that has given its name back.
EventLoop::End serve(sdbus::IConnection& connection, EventLoop& loop, Service& service, std::chrono::seconds idle) {
  while (true) {
    const auto end = loop.run(connection, idle, [&] { return service.may_leave(); });
    if (end != EventLoop::End::idle) return end;
    service.refuse_jobs();
    connection.releaseName(wire::bus_name);
    loop.run(connection, std::chrono::seconds(0));
    if (service.at_rest()) return end;
    connection.requestName(wire::bus_name);  // a Reload came
    service.accept_jobs();
  }
}

/// Stops what runs, and answers questions meanwhile. The name is kept to the end: it is the lock on the state. A second
/// signal ends the waiting here; what is on disk is right at every instant.
void wind_down(sdbus::IConnection& connection, EventLoop& loop, Service& service) {
  service.refuse_jobs();
  service.cancel_jobs();
  loop.run(connection, std::chrono::seconds(0), [&] { return service.at_rest(); });
}

int fail_to_start(const Error& error) {
  journal::Entry(journal::Priority::error, journal::stopped,
                 "cannot start: " + error.sentence() + (error.hint.empty() ? "" : "; hint: " + error.hint))
      .field("DEVID_ERROR", code_name(error.code))
      .write();
  return 1;
}

/// Whether OpenSSL wipes what it frees. Not if a library that is loaded into devidd used it before main().
enum class FreedMemory { wiped, left };

void warn_of(FreedMemory memory) {
  if (memory == FreedMemory::wiped) return;
  journal::Entry(journal::Priority::warning, journal::noticed,
                 "OpenSSL was in use before devidd began, and does not wipe the memory that it frees: copies of keys "
                 "that a server makes may stay in it")
      .write();
}

/// The lock on the state. Errors: wrong_state, if another devidd has it; internal.
Result<> take_name(sdbus::IConnection& connection) {
  try {
    connection.requestName(wire::bus_name);
    return {};
  } catch (const sdbus::Error& error) {
    if (error.getName() == "org.freedesktop.DBus.Error.FileExists") {
      return fail({.code = Errc::wrong_state,
                   .retry = Retry::never,
                   .what = "another devidd is running",
                   .reason = std::string(wire::bus_name) + " on the system bus belongs to it",
                   .hint = "devidctl talks to that one; systemctl status devidd.service"});
    }
    return fail({.code = Errc::internal,
                 .retry = Retry::later,
                 .what = std::string("the system bus does not give out the name ") + wire::bus_name,
                 .reason = error.getMessage(),
                 .hint = "see policies/org.devid1.conf, and run devidd as the user devid or root"});
  }
}

int run(const Options& options, FreedMemory memory) {
  EventLoop loop;  // first: it blocks the signals for all threads
  const SystemClock clock{Time(Seconds(build_time))};
  // The name first: it is the lock that keeps a second devidd from the same state. Calls wait in the socket until
  // run().
  const auto connection = sdbus::createSystemBusConnection();
  if (auto taken = take_name(*connection); !taken) return fail_to_start(taken.error());
  auto agent = Agent::load(options.paths, token_factory(options.paths), clock);
  if (!agent) return fail_to_start(agent.error());
  for (const auto& error : (*agent)->configuration_errors()) log_configuration_error(error);

  Service service(*connection, loop, clock, *std::move(agent), std::chrono::seconds(options.network_spread));
  loop.on_hangup([&service] { service.reload([](const Result<>&) {}); });
  sd_notify(0, "READY=1");
  release_unused_pages();  // of the start
  journal::Entry(journal::Priority::info, journal::started,
                 std::string("devidd ") + version + " serves the identities below " + options.paths.state.string())
      .write();
  warn_of(memory);
  const auto end = serve(*connection, loop, service, std::chrono::seconds(options.idle_timeout));
  sd_notify(0, "STOPPING=1");
  if (end == EventLoop::End::signal) wind_down(*connection, loop, service);
  return end == EventLoop::End::disconnected ? 1 : 0;
}

/// Reads the command line, then serves.
int start(int argc, char** argv, FreedMemory memory) {
  Options options;
  CLI::App app("devidd keeps the device's cryptographic identity in hardware. It is started by D-Bus; see devidd(8).");
  app.set_version_flag("--version", std::string("devidd ") + version);
  app.add_option("--configuration-directory", options.paths.configuration, "devid.toml and identities.d are here")
      ->capture_default_str();
  app.add_option("--vendor-directory", options.paths.vendor_configuration, "identities.d of the vendor is here")
      ->capture_default_str();
  app.add_option("--state-directory", options.paths.state, "credentials and state are kept here")
      ->capture_default_str();
  app.add_option("--idle-timeout", options.idle_timeout, "seconds without work after which devidd leaves")
      ->capture_default_str()
      ->check(CLI::Range(1U, 86400U));
  app.add_option("--network-spread", options.network_spread,
                 "once the network is back, what failed for lack of it is tried again within so many seconds")
      ->capture_default_str()
      ->check(CLI::Range(1U, 3600U));
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  return run(options, memory);
}

}  // namespace
}  // namespace devid

int main(int argc, char** argv) {
  // Before anything else: keys that a server made pass through.
  const auto memory = devid::wipe_openssl_memory() ? devid::FreedMemory::wiped : devid::FreedMemory::left;
  // The TSS would write to standard error by itself; what it has to say is in our errors. Before there are threads.
  ::setenv("TSS2_LOG", "all+NONE", 0);
  try {
    return devid::start(argc, argv, memory);
  } catch (const std::exception& error) {
    return devid::fail_to_start(
        {.code = devid::Errc::internal, .what = "the bus or the system failed", .reason = error.what()});
  }
}
