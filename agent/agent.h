#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "agent/identity/configuration.h"
#include "agent/identity/discovery.h"
#include "agent/identity/forget.h"
#include "agent/identity/job.h"
#include "agent/identity/status.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid {

/// What one token said of itself.
struct TokenInspection {
  TokenDescription description;
  Result<TokenReport> report;
};

/// What a search for the IDevID found.
struct Diagnosis {
  std::vector<identity::Evidence> evidence;  ///< ranked, each place once
  std::vector<std::string> advice;           ///< what an operator should do; nothing if an IDevID was found
};

/// The domain: every identity of this device, and the tokens. It knows no D-Bus and logs nothing.
/// Not thread-safe: lives on the worker thread.
class Agent {
 public:
  /// Reads configuration and state. A profile that is wrong becomes an identity in state `blocked` whose reason says
  /// so; so do all of them if devid.toml is wrong. Undoes what a run that was cut short left behind. Touches no
  /// hardware. Error: only if the state directory cannot be used at all.
  static Result<std::unique_ptr<Agent>> load(const Paths& paths, TokenFactory factory, const Clock& clock);
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

  /// Reads the configuration as it is now, and says all that is wrong in it, each with file:line:column; of devid.toml
  /// the first only. Nothing is adopted.
  [[nodiscard]] std::vector<Error> check() const;

  /// Reads the configuration again. With any error in it nothing changes, and that error is returned.
  Result<> reload();

  /// Carries out one job, from connecting to `current`. Blocks on the token and the network, within the profile's
  /// limits. State and next attempt are written before it returns, whatever happened. The working credential stays on
  /// any error. Errors: no_such_identity, wrong_state (renew of what has no credential; enroll of what has a valid one,
  /// without force), cancelled, and everything that a token, EST, PKI or the file system may say.
  Result<JobResult> run(const std::string& name, JobKind kind, JobOptions options, JobObserver& observer);

  /// An operator's word that the CA with this SHA-256 fingerprint is to be trusted for the server of the profile: one
  /// of Status::pending_trust. Touches neither token nor network. Errors: no_such_identity, usage (that is no
  /// fingerprint), wrong_state (this CA is not offered; it says what is), storage_failed, and what is wrong with the
  /// profile.
  Result<identity::ServerAnchor> trust(const std::string& name, const std::string& fingerprint);

  /// Makes the copies that profiles want be those of the current generations: after each job, and whenever it is looked
  /// what is due. Returns what went wrong, by identity, once until something else goes wrong.
  std::vector<std::pair<std::string, Notice>> update_copies();

  /// How it went to tell a unit (Status::consumers) of a generation. Written down; what failed is told again later. Of
  /// a generation that is not current any more, and of what the profile does not know, nothing is written.
  void told(const std::string& name, std::uint64_t generation, const identity::UnitAction& action,
            const Result<>& outcome);

  /// Makes the previous generation current again, while it is valid and its key signs for it. Blocks on the token.
  /// Returns its number. Errors: no_such_identity, wrong_state (there is none such; it says what to do instead),
  /// storage_failed, and those of the token.
  Result<std::uint64_t> rollback(const std::string& name);

  /// Destroys all keys of an identity, and removes its files; what no token can destroy now stays listed, and is tried
  /// again. An identity that has a profile goes on as one that was never enrolled; of one that has none any more, all
  /// that is left in the state directory goes. Blocks on the tokens. Errors: no_such_identity, storage_failed.
  Result<identity::Forgotten> forget(const std::string& name);

  /// Takes away old generations whose time of grace is over, and destroys their keys: by identity, which ones. Touches
  /// hardware only if there are such.
  std::vector<std::pair<std::string, Result<std::vector<std::uint64_t>>>> retire_old();

  /// What is to be said of credentials whose planned renewal was missed, once for each of 50, 25, 10, 1 and 0 per cent
  /// of the time that is left then: by identity. What was said is written down.
  std::vector<std::pair<std::string, std::string>> expiry_warnings();

  /// The tokens of the configuration.
  [[nodiscard]] const Tokens& tokens() const;

  /// Asks every token what it is and what it can do. Blocks on them.
  [[nodiscard]] std::vector<TokenInspection> inspect_tokens() const;

  /// Looks for the IDevID as the identities would, or, if there is none, as a profile without [idevid] would; changes
  /// nothing. Blocks on the tokens.
  [[nodiscard]] Diagnosis diagnose() const;

 private:
  struct State;
  explicit Agent(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace devid
