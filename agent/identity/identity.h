#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/identity/backoff.h"
#include "agent/identity/bookkeeping.h"
#include "agent/identity/forget.h"
#include "agent/identity/job.h"
#include "agent/identity/next_step.h"
#include "agent/identity/profile.h"
#include "agent/identity/refresh.h"
#include "agent/identity/rotation.h"
#include "agent/identity/state.h"
#include "agent/identity/status.h"
#include "agent/identity/store.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// What the jobs of all identities share.
struct Surroundings {
  const Tokens& tokens;
  const Clock& clock;
  const Random& random;
  const std::vector<std::filesystem::path>& idevid_certificates;  ///< Configuration::idevid_certificates
  pki::RevocationCache& revocation_cache;
};

/// One identity: its profile, what is on disk of it, and what was recorded. Not thread-safe.
class Identity {
 public:
  /// Reads what is on disk, after undoing what a run that was cut short left. A profile that is wrong, or a directory
  /// that cannot be used, makes it blocked. Touches no hardware.
  Identity(std::string name, Result<Profile> profile, std::filesystem::path directory, const Clock& clock);

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] const Result<Profile>& profile() const { return profile_; }
  void set_profile(Result<Profile> profile) { profile_ = std::move(profile); }
  [[nodiscard]] Status status(Time now) const;

  /// Agent::expiry_warnings for this identity: what was not said before.
  std::optional<std::string> warn_of_expiry(Time now);

  /// Agent::trust for this identity. Errors: usage, wrong_state, storage_failed, and what is wrong with the profile.
  Result<ServerAnchor> trust(const std::string& fingerprint, Time now);

  /// Agent::copies for this identity: what was not said before.
  std::optional<Notice> update_copies();

  /// Agent::told for this identity.
  void told(std::uint64_t generation, const UnitAction& action, const Result<>& outcome, Time now,
            const Random& random);

  /// Takes away old generations whose time has come, and destroys their keys. Returns which. Error: storage_failed.
  Result<std::vector<std::uint64_t>> retire(const Tokens& tokens, Time now);

  /// Agent::rollback for this identity.
  Result<std::uint64_t> rollback(const Tokens& tokens, Time now);

  /// Agent::forget for this identity.
  Result<Forgotten> forget(const Tokens& tokens);

  /// Agent::run for this identity.
  Result<JobResult> run(JobKind kind, JobOptions options, const Surroundings& surroundings, JobObserver& observer);

 private:
  [[nodiscard]] Situation situation() const;
  [[nodiscard]] std::vector<ServerAnchor> pending_trust() const;
  [[nodiscard]] Record record_of_generation() const;
  Result<> read_disk();
  Result<> read_store();
  void read_recorded();
  void drop_what_was_of_a_request();
  Result<Rotation> attempt(JobKind kind, JobOptions options, const Surroundings& surroundings, JobObserver& observer);
  [[nodiscard]] Moment moment(const Surroundings& surroundings) const;
  Workplace workplace(const Surroundings& surroundings, JobObserver& observer, bool begins_anew = false);
  Result<JobResult> rotate(JobKind kind, JobOptions options, const Surroundings& surroundings, JobObserver& observer);
  Result<JobResult> refresh(const Surroundings& surroundings, JobObserver& observer);
  Result<Refreshed> look(const Surroundings& surroundings, JobObserver& observer);
  Result<Rotation> carry_out(JobKind kind, JobOptions options, const Workplace& place);
  void choose_server(bool has_request);
  void settle(const Result<Rotation>& rotation, const Record& before, const Surroundings& surroundings);

  std::string name_;
  Result<Profile> profile_;
  std::filesystem::path directory_;
  Time known_since_;
  Time clock_floor_;
  std::unique_ptr<Store> store_;  ///< none while the directory cannot be used
  std::optional<Error> trouble_;  ///< why what is on disk could not be read
  std::optional<Generation> generation_;
  std::optional<Request> request_;
  std::optional<Generation> candidate_;
  std::optional<Time> rolled_back_;  ///< since when the current generation is that again
  Record record_;
  std::optional<Notice> copies_trouble_;  ///< what was said last of the copies
  std::optional<JobKind> running_;
  est::Traffic traffic_;  ///< of the job that is running, or ran last
  JobMemory memory_;
  std::unique_ptr<AbandonedKeys> abandoned_keys_;  ///< none while the directory cannot be used
  std::unique_ptr<TrustStore> trust_;              ///< likewise
};

}  // namespace devid::identity
