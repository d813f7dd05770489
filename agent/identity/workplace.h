#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

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
  /// How often in a row the request on disk was presented and not answered; counted here.
  std::uint32_t& unanswered;
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

/// What an operator should know of, from this job on.
void notice(const Workplace& place, std::string sentence, std::vector<Notice::Field> fields = {});

}  // namespace devid::identity
