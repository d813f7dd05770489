#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include "agent/identity/job.h"
#include "agent/identity/request.h"
#include "agent/identity/workplace.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// A new generation is current.
struct Rotated {
  std::uint64_t generation;
};
/// The CA has the request and needs time; 0 s: it did not say how much.
struct Deferred {
  Seconds retry_after;
  bool accepted = true;  ///< est::Pending::accepted
};
using Rotation = std::variant<Rotated, Deferred>;

/// Makes a key, has it certified over one EST session, verifies what comes back, proves it, and makes it current. On
/// any error the current generation stays as it is. Once the request was sent, it stays with its key for resume(), as
/// there; on an error before that both are gone. Once the answer is there, it stays for prove_and_install(). A renewal
/// goes on with the current key where policy and `rekey` (JobOptions::rekey) want it, and it is what the profile asks
/// for. Where the profile wants the server to make the key (RFC 7030 4.4), that one is taken into the token, and the
/// key of the request is destroyed. Errors: cancelled, and everything that a token, EST, PKI or the file system may
/// say.
Result<Rotation> rotate(const Workplace& place, JobKind kind, std::optional<bool> rekey = {});

/// Presents the request that the store keeps again, with the same key, and goes on as rotate() does. The request
/// stays unless it was granted, refused for good, or presented ten times in a row without a usable answer: the CA may
/// still be about to issue for it. A request for other names, or of another kind of key, than are wanted now gives way
/// to a new one. Errors as rotate().
Result<Rotation> resume(const Workplace& place, const Request& request, std::optional<bool> rekey = {});

/// Whether what was asked for before is what the profile would ask for now.
bool fits(const Provenance& provenance, const Profile& profile);

}  // namespace devid::identity
