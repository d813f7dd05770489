#pragma once

#include <string>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::pki {

/// What became of the trust anchors after a look at what /cacerts offers. The order of what is new does not depend on
/// the order in which it was offered.
struct Rollover {
  std::vector<Certificate> anchors;        ///< to trust from now on: old ones that have not expired, then new ones
  std::vector<Certificate> added;          ///< each after those that its link starts from
  std::vector<Certificate> links;          ///< of `added`, one each in the same order: what verify_link() takes
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

/// Whether `link` proves as of `now` that one of `trusted` was succeeded by `root`. The root is self-signed, a CA, and
/// may do no more than the link lets it. The link has its name and key, is itself self-issued (RFC 5280 3.2: a root
/// keeps its name), and is signed by a trusted one directly. Without that rule every CA below a root could make itself
/// a root for ever: its own certificate would be the link. A root that was renewed with the same key is its own link.
/// Errors: certificate_untrusted, certificate_not_valid_now.
Result<> verify_link(const Certificate& root, const Certificate& link, const std::vector<Certificate>& trusted,
                     Time now);

/// Those that have not expired; if all have, the one that did so last. Each once, in their order.
std::vector<Certificate> unexpired(const std::vector<Certificate>& anchors, Time now);

}  // namespace devid::pki
