#pragma once

#include <sdbus-c++/sdbus-c++.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "dbus/wire.h"

namespace devid::ctl {

/// The properties of one identity, by their D-Bus names.
using Properties = std::map<std::string, sdbus::Variant>;

/// What Diagnose answers.
struct Diagnosis {
  std::vector<wire::Dictionary> evidence;
  std::vector<std::string> advice;
};

/// The connection of devidctl to devidd. Every call is synchronous and starts devidd where it does not run.
class Client {
 public:
  /// Error: internal, if there is no system bus.
  static Result<Client> connect();

  [[nodiscard]] sdbus::IConnection& connection() { return *connection_; }

  /// The unique name of the devidd that runs now. Starts none.
  Result<std::string> owner();
  /// All identities, ordered by name.
  Result<std::vector<Properties>> identities();
  /// One identity. Error: no_such_identity.
  Result<Properties> identity(const std::string& name);
  Result<sdbus::ObjectPath> identity_path(const std::string& name);
  Result<wire::Dictionary> credential(const std::string& name);
  /// What there is to say about one identity, as sentences.
  Result<std::vector<std::string>> explain(const std::string& name);
  Result<sdbus::ObjectPath> start(const std::string& name, const std::string& method, const wire::Dictionary& options);
  /// Accepts a CA of PendingTrust. Errors: wrong_state, usage, not_authorized.
  Result<wire::Dictionary> trust(const std::string& name, const std::string& fingerprint);
  /// Goes back to the previous generation; its number. Errors: wrong_state, not_authorized, the token's.
  Result<std::uint64_t> rollback(const std::string& name);
  /// What Manager.Forget answers. Errors: no_such_identity, not_authorized, storage_failed.
  Result<wire::Dictionary> forget(const std::string& name);
  Result<std::vector<sdbus::ObjectPath>> run_due();
  Result<std::vector<wire::Dictionary>> tokens();
  /// Asks the hardware, when a running job has ended. Error: not_authorized.
  Result<std::vector<wire::Dictionary>> inspect_tokens();
  Result<Diagnosis> diagnose();
  Result<> reload();
  /// What is wrong in the configuration on disk: code, message, hint.
  Result<std::vector<wire::Dictionary>> check();

 private:
  explicit Client(std::unique_ptr<sdbus::IConnection> connection) : connection_(std::move(connection)) {}
  std::unique_ptr<sdbus::IProxy> proxy(const std::string& path);

  std::unique_ptr<sdbus::IConnection> connection_;
};

/// A property as text; empty if it is not there or of another type.
std::string text(const Properties& properties, const std::string& name);
/// A property of type t or u as number; 0 if it is not there.
std::uint64_t number(const Properties& properties, const std::string& name);
/// A property of type as; empty if it is not there.
std::vector<std::string> texts(const Properties& properties, const std::string& name);
/// A property of type aa{sv}; empty if it is not there.
std::vector<wire::Dictionary> dictionaries(const Properties& properties, const std::string& name);
/// A property of type (ss) as code and text, such as LastError; both empty if it is not there.
std::pair<std::string, std::string> error_of(const Properties& properties, const std::string& name);

}  // namespace devid::ctl
