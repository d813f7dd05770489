#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/identity/credential.h"
#include "agent/identity/job.h"
#include "agent/identity/profile.h"
#include "agent/identity/store.h"
#include "agent/identity/tokens.h"
#include "base/clock.h"
#include "base/result.h"
#include "tokens/token.h"

namespace devid::identity {

/// What a rotation works on. All of it is borrowed.
struct Workplace {
  const Profile& profile;
  const Tokens& tokens;
  Store& store;
  const Clock& clock;
  JobObserver& observer;
  AbandonedKeys& abandoned_keys;  ///< takes the keys that the token could not destroy now
  /// How often in a row the request on disk was presented and not answered; counted here.
  std::uint32_t& unanswered;
  const std::vector<std::filesystem::path>& idevid_certificates;  ///< Configuration::idevid_certificates
  std::filesystem::path idevid_memory;                            ///< of open_idevid()
};

/// A new generation is current.
struct Rotated {
  std::uint64_t generation;
};
/// The CA has the request and needs time; 0 s: it did not say how much.
struct Deferred {
  Seconds retry_after;
};
using Rotation = std::variant<Rotated, Deferred>;

/// Makes a key, has it certified over one EST session, verifies what comes back, proves that the key signs for it, and
/// makes it current. On any error the current generation stays as it is. Once the request was sent, it stays with its
/// key for resume(), as there; on an error before that both are gone. It cannot be cancelled after the answer.
/// Errors: cancelled, and everything that a token, EST, PKI or the file system may say.
Result<Rotation> rotate(const Workplace& place, JobKind kind);

/// Presents the request that the store keeps again, with the same key, and goes on as rotate() does. The request
/// stays unless it was granted, refused for good, or presented ten times in a row without a usable answer: the CA may
/// still be about to issue for it. A request for other names than the profile wants now gives way to a new one.
/// Errors as rotate().
Result<Rotation> resume(const Workplace& place, const Request& request);

/// Destroys the key of a request that is of no more use, and forgets the request.
Result<> abandon(const Workplace& place, const Request& request);

}  // namespace devid::identity
