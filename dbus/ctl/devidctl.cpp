#include <CLI/CLI.hpp>
#include <clocale>
#include <exception>
#include <functional>
#include <iostream>

#include "agent/pki/fingerprint.h"
#include "dbus/ctl/verbs.h"
#include "dbus/version.h"

namespace devid::ctl {
namespace {

/// What the command line said.
struct Command {
  std::function<Exit(Client&)> verb;
  JobRequest request;
  std::string fingerprint;
  unsigned timeout = 0;  ///< seconds; 0: none
  bool explain = false;
  bool yes = false;
  bool rekey = false;
  bool keep_key = false;
  bool json = false;

  [[nodiscard]] Format format() const { return json ? Format::json : Format::text; }
};

CLI::App* add_verb(CLI::App& app, Command& command, const char* name, const char* description,
                   const std::function<Exit(Client&)>& verb) {
  CLI::App* sub = app.add_subcommand(name, description);
  sub->callback([&command, verb] { command.verb = verb; });
  return sub;
}

void add_json(CLI::App* sub, Command& command) { sub->add_flag("--json", command.json, "Print JSON instead of text"); }

void describe(CLI::App& app, Command& command) {
  app.set_version_flag("--version", std::string("devidctl ") + version);
  app.require_subcommand(1);
  app.footer(
      "Exit codes: 0 done or healthy, 1 failed or unhealthy, 2 wrong usage, 3 no such identity, 4 not authorized,\n"
      "5 still pending. See devidctl(1).");

  auto* verb = add_verb(app, command, "status", "Show how the identities are", [&](Client& client) {
    return (command.explain ? explain : status)(client, command.request.name, command.format());
  });
  auto* name = verb->add_option("NAME", command.request.name, "Only this identity");
  verb->add_flag("--explain", command.explain, "Say why, what comes next, and how long the credential lasts")
      ->needs(name);
  add_json(verb, command);

  verb = add_verb(app, command, "show", "Show the certificate of an identity in words",
                  [&](Client& client) { return show(client, command.request.name, command.format()); });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  add_json(verb, command);

  verb = add_verb(app, command, "enroll", "Obtain a first certificate, authenticated with the IDevID",
                  [&](Client& client) { return enroll(client, command.request, command.format()); });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  verb->add_flag("--force", command.request.force, "Also if there is a valid credential; drops a pending request");
  add_json(verb, command);

  verb = add_verb(app, command, "renew", "Obtain a new certificate, authenticated with the current one",
                  [&](Client& client) {
                    if (command.rekey || command.keep_key) command.request.rekey = command.rekey;
                    return renew(client, command.request, command.format());
                  });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  auto* rekey = verb->add_flag("--rekey", command.rekey, "Make a new key, whatever the profile says");
  verb->add_flag("--keep-key", command.keep_key, "Go on with the current key, whatever the profile says")
      ->excludes(rekey);
  verb->add_flag("--force", command.request.force, "Drop a pending request");
  add_json(verb, command);

  verb = add_verb(
      app, command, "trust", "Show the CAs of a server that is not trusted yet, or trust one of them",
      [&](Client& client) { return trust(client, command.request.name, command.fingerprint, command.format()); });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  verb->add_option("--fingerprint", command.fingerprint, "Trust the CA with this SHA-256 fingerprint")
      ->check([](const std::string& text) {
        const auto parsed = pki::parse_fingerprint(text);
        return parsed ? std::string() : parsed.error().sentence();
      });
  add_json(verb, command);

  verb = add_verb(app, command, "wait", "Wait until an identity has a valid credential", [&](Client& client) {
    return wait(client, command.request.name,
                command.timeout == 0 ? std::nullopt : std::optional(std::chrono::seconds(command.timeout)));
  });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  verb->add_option("--timeout", command.timeout, "Give up after so many seconds")->check(CLI::Range(1U, 31536000U));

  verb = add_verb(app, command, "rollback", "Go back to the previous certificate and key, while they are valid",
                  [&](Client& client) { return rollback(client, command.request.name, command.format()); });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  add_json(verb, command);

  verb = add_verb(app, command, "forget", "Destroy all keys and files of an identity, also of one without a profile",
                  [&](Client& client) { return forget(client, command.request.name, command.yes, command.format()); });
  verb->add_option("NAME", command.request.name, "The identity")->required();
  verb->add_flag("--yes", command.yes, "Do not ask");
  add_json(verb, command);

  add_json(add_verb(app, command, "run-due", "Do what is due for all identities: what the timer calls",
                    [&](Client& client) { return run_due(client, command.format()); }),
           command);
  add_json(add_verb(app, command, "tokens", "Show the places where keys are kept, and what they can do",
                    [&](Client& client) { return tokens(client, command.format()); }),
           command);
  add_json(add_verb(app, command, "doctor", "Show where the IDevID was looked for, and what was found",
                    [&](Client& client) { return doctor(client, command.format()); }),
           command);
  add_json(add_verb(app, command, "check", "Say what is wrong in the configuration, without adopting it",
                    [&](Client& client) { return check(client, command.format()); }),
           command);
  add_verb(app, command, "reload", "Read the configuration again", [](Client& client) { return reload(client); });
}

int run(int argc, char** argv) {
  Command command;
  CLI::App app("devidctl talks to devidd, which keeps the device's cryptographic identity in hardware.");
  describe(app, command);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : static_cast<int>(Exit::usage);
  }
  auto client = Client::connect();
  if (!client) return static_cast<int>(complain(client.error()));
  return static_cast<int>(command.verb(*client));
}

}  // namespace
}  // namespace devid::ctl

int main(int argc, char** argv) {
  static_cast<void>(std::setlocale(LC_ALL, ""));  // without one that is installed: plain text
  try {
    return devid::ctl::run(argc, argv);
  } catch (const std::exception& error) {
    return static_cast<int>(
        devid::ctl::complain({.code = devid::Errc::internal, .what = "devidctl failed", .reason = error.what()}));
  }
}
