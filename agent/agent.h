#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/identity/status.h"
#include "base/clock.h"
#include "base/result.h"
#include "tokens/token.h"

namespace devid {

/// Where everything is. Tests and the demo point it at a directory of their own.
struct Paths {
  std::filesystem::path configuration = "/etc/devid";  ///< devid.toml and identities.d
  std::filesystem::path vendor_configuration =
      "/usr/lib/devid";  ///< identities.d; the same file name under `configuration` wins
  std::filesystem::path state = "/var/lib/devid";
};

/// The global configuration, devid.toml(5).
struct Configuration {
  std::string tcti = "device:/dev/tpmrm0";  ///< [tpm] tcti
  bool operator==(const Configuration&) const = default;
};

enum class JobKind { enroll, renew };
/// "enroll", "renew".
std::string_view job_kind_name(JobKind kind);

enum class Phase { connecting, ca_certificates, creating_key, requesting, pending, verifying, installing, notifying };
/// "connecting", "ca-certificates", "creating-key", …: the D-Bus property Phase.
std::string_view phase_name(Phase phase);

struct JobOptions {
  bool force = false;  ///< drop a pending request; enroll although a valid credential is there
};

/// Who watches a job. Called on the worker thread.
class JobObserver {
 public:
  JobObserver() = default;
  JobObserver(const JobObserver&) = delete;
  JobObserver& operator=(const JobObserver&) = delete;
  JobObserver(JobObserver&&) = delete;
  JobObserver& operator=(JobObserver&&) = delete;
  virtual ~JobObserver() = default;
  virtual void entered(Phase phase) = 0;
  /// Asked at every point where a job can stop without harm.
  [[nodiscard]] virtual bool cancelled() const = 0;
};

/// How a job ended when it did not fail.
enum class JobResult { done, pending };

using Tokens = std::map<std::string, std::unique_ptr<Token>, std::less<>>;
/// Makes the tokens that a configuration names. Called on the worker thread; must not touch the hardware.
using TokenFactory = std::function<Tokens(const Configuration&)>;

/// The domain: every identity of this device, and the tokens. It knows no D-Bus and logs nothing.
/// Not thread-safe: lives on the worker thread.
class Agent {
 public:
  /// Reads configuration and state. A profile that is wrong becomes an identity in state `blocked` whose reason says
  /// so; so do all of them if devid.toml is wrong. Undoes what a run that was cut short left behind. Touches no
  /// hardware. Error: only if the state directory cannot be used at all.
  static Result<std::unique_ptr<Agent>> load(Paths paths, TokenFactory factory, const Clock& clock);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;
  Agent(Agent&&) = delete;
  Agent& operator=(Agent&&) = delete;
  ~Agent();

  /// Every identity, by name. From memory.
  [[nodiscard]] std::vector<identity::Status> status() const;

  /// What was wrong with the configuration at the last load() or reload(), one error a file, each with
  /// file:line:column.
  [[nodiscard]] std::vector<Error> configuration_errors() const;

  /// Reads the configuration again. With any error in it nothing changes, and that error is returned.
  Result<> reload();

  /// Carries out one job, from connecting to `current`. Blocks on the token and the network, within the profile's
  /// limits. State and next attempt are written before it returns, whatever happened. The working credential stays on
  /// any error. Errors: no_such_identity, wrong_state (renew of what has no credential; enroll of what has a valid one,
  /// without force), cancelled, and everything that a token, EST, PKI or the file system may say.
  Result<JobResult> run(const std::string& name, JobKind kind, JobOptions options, JobObserver& observer);

  /// The kind of job that would bring an identity forward: enroll, or renew where there is a credential to renew with.
  [[nodiscard]] Result<JobKind> due_kind(const std::string& name) const;

  /// The tokens of the configuration.
  [[nodiscard]] const Tokens& tokens() const;

 private:
  struct State;
  explicit Agent(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid
