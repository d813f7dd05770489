#pragma once

#include <string>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/clock.h"

namespace devid::pki {

/// What became of the trust anchors after a look at what /cacerts offers.
struct Rollover {
  std::vector<Certificate> anchors;  ///< those to trust from now on: old ones that have not expired, then new ones
  std::vector<Certificate> added;
  std::vector<Certificate> removed;        ///< expired
  std::vector<Certificate> intermediates;  ///< of what was offered: CAs below an anchor, and link certificates
  std::vector<std::string> remarks;        ///< one a certificate that was passed over: which, and why. Safe to print
  [[nodiscard]] bool changed() const { return !added.empty() || !removed.empty(); }
};

/// Follows a CA that changes its root (RFC 7030 4.1.3, RFC 4210 4.4): a new root, NewWithNew, is trusted if a link
/// certificate NewWithOld, its key and name signed by a root that is trusted already, is there and verifies. OldWithOld
/// and OldWithNew are recognised. New roots may follow new roots. One certificate that cannot be verified does not
/// spoil the rest. The last anchor is never removed, expired or not. At most 64 of `offered` are looked at, and the
/// signatures that are checked are bounded.
Rollover follow_rollover(const std::vector<Certificate>& trusted, const std::vector<Certificate>& offered, Time now);

}  // namespace devid::pki
