#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/pki/certificate.h"
#include "agent/pki/revocation_cache.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::pki {

/// off: nobody is asked. soft: a certificate that is known to be revoked is refused. hard: so is one of which it cannot
/// be found out.
enum class RevocationPolicy { off, soft, hard };

/// One look at a URL of a certificate, over plain http.
struct Download {
  std::string url;
  std::string media_type;                                        ///< of the body
  std::optional<Bytes> body;                                     ///< with one it is a POST
  std::size_t limit = 0;                                         ///< bytes of the answer
  std::optional<std::chrono::milliseconds> time = std::nullopt;  ///< for all of it; none: as long as it may take
};
/// Carries it out, bounded in time and size. Given by whoever can (agent/est/download.h).
using Downloader = std::function<Result<Bytes>(const Download&)>;

/// What a check works with. All of it is borrowed.
struct RevocationSources {
  RevocationPolicy policy = RevocationPolicy::soft;
  Downloader download;
  RevocationCache& cache;
  Time now;
  /// When the whole check has to be over: a firewall that drops what is sent costs no more than that. Each look gets
  /// half of what is left. None: only the downloads' own limits.
  std::optional<std::chrono::steady_clock::time_point> end = std::nullopt;
  /// URLs that did not answer, of earlier checks too: nobody asks them again. May be null.
  std::set<std::string>* unreached = nullptr;
  /// Told under the policy soft what could not be found out although a certificate says where. May be empty.
  std::function<void(const Error&)> on_unknown = nullptr;
};

/// Checks a chain that was verified before: the leaf first, each certificate followed by its issuer, the anchor last;
/// the anchor itself is not checked. For each certificate: the stapled response (`stapled`, DER of an OCSPResponse for
/// the leaf, may be empty), then OCSP at the responders of its authorityInfoAccess (RFC 6960), then the CRLs of its
/// cRLDistributionPoints (RFC 5280 6.3): whatever answers first decides. At most three http URLs of each kind are
/// tried, the cache is asked before each, and there are at most twelve downloads in all, within one time limit. Every
/// certificate is looked at before an unknown one counts. Certificates that name no source are unknown. What was once
/// known to be revoked is refused without asking until it expires, unless it was on hold (certificateHold): the
/// statement may end, and whoever is between this device and the CA let no other one through. Errors:
/// certificate_revoked; under the policy hard, revocation_unknown with the reasons of all that failed; cancelled, if a
/// download was.
Result<> check_revocation(const std::vector<Certificate>& chain, BytesView stapled, const RevocationSources& sources);

}  // namespace devid::pki
