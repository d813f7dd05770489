#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/est/traffic.h"
#include "agent/identity/abandoned_keys.h"
#include "agent/identity/job.h"
#include "agent/identity/profile.h"
#include "agent/identity/store.h"
#include "agent/identity/tokens.h"
#include "agent/identity/trust_store.h"
#include "agent/pki/revocation_cache.h"
#include "base/clock.h"
#include "base/result.h"
#include "tokens/token.h"

namespace devid::identity {

/// What a job remembers on its way.
struct JobMemory {
  std::set<std::string> unreached;  ///< URLs of revocation that did not answer
  std::set<std::string> noticed;    ///< sentences
  /// Of all network business. Time that the token takes to make a key is not charged.
  std::optional<std::chrono::steady_clock::time_point> deadline;
  std::string server;  ///< est::Endpoint::base of the last one that it was in contact with
};

/// What a job of one identity works on. All of it is borrowed.
struct Workplace {
  const Profile& profile;
  const Tokens& tokens;
  Store& store;
  const Clock& clock;
  JobObserver& observer;
  AbandonedKeys& abandoned_keys;  ///< takes the keys that the token could not destroy now
  TrustStore& trust;
  pki::RevocationCache& revocation_cache;
  JobMemory& memory;
  /// How often in a row the request on disk was presented and not answered; counted here.
  std::uint32_t& unanswered;
  bool begins_anew = false;  ///< somebody insists on an enrollment: what the CA was before does not bind it
  std::string begin_at;      ///< est::Endpoint::base of the server to begin with; empty: as the profile has them
  est::Traffic& traffic;     ///< what the job has cost so far
  const std::vector<std::filesystem::path>& idevid_certificates;  ///< Configuration::idevid_certificates
  std::filesystem::path idevid_memory;                            ///< of open_idevid()
};

/// Tells the observer where the job is; a job can stop there without harm. Error: cancelled.
Result<> enter(const Workplace& place, Phase phase);

/// Error: config_invalid, if there is no token of that name.
Result<Token*> find_token(const Tokens& tokens, const std::string& name);

/// Destroys a key by what PrivateKey::pem() returned; one that cannot be destroyed now is remembered.
void destroy_key(const Workplace& place, Token& token, const std::string& name, const std::string& pem);

/// Store::install, with the files for whom the profile says. What cannot be given is a notice: a credential that one
/// service cannot read is better than none that works. Errors as there.
Result<std::uint64_t> install(const Workplace& place, const Generation& generation);

/// What an operator should know of, from this job on. Each sentence once a job.
void notice(const Workplace& place, std::string sentence, std::vector<Notice::Field> fields = {});

}  // namespace devid::identity
