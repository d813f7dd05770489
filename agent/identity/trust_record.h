#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/pki/certificate.h"
#include "agent/pki/rollover.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// A root that has succeeded one that was trusted, and what proved it then (pki::verify_link).
struct LearnedRoot {
  pki::Certificate root;
  pki::Certificate link;
  Time when;
  bool operator==(const LearnedRoot&) const = default;
};

/// A CA's certificate that one server showed, or that was accepted for it. `server` is est::Endpoint::base.
struct ServerAnchor {
  pki::Certificate certificate;
  std::string server;
  Time when;
  bool operator==(const ServerAnchor&) const = default;
};

/// What an identity trusts beyond its profile's file of anchors, and what it was shown: the content of
/// trust-anchors.json. Nobody has to believe it: learned roots are proven anew, and the file only remembers.
struct TrustRecord {
  std::vector<LearnedRoot> learned;    ///< by rollover
  std::vector<ServerAnchor> accepted;  ///< by an operator
  std::vector<ServerAnchor> pinned;    ///< shown, and of the fingerprint that the profile names; one a server
  std::vector<ServerAnchor> seen;      ///< of a server that is not trusted: offered to an operator, no more
  std::optional<Time> looked_at;       ///< when a trusted server's /cacerts was last looked at
  bool operator==(const TrustRecord&) const = default;
};

/// What is trusted now: the profile's anchors, those that were accepted for this server, and what was learned from
/// these, as far as its links prove it. A learned root whose links start from none of them counts no more: who
/// replaces the profile's file is rid of what came from the old one. Links are checked as of when they were learned, as
/// they may expire long before the root. What has expired is left out, but for the last. Error: trust_missing.
Result<std::vector<pki::Certificate>> anchors_of(const std::vector<pki::Certificate>& profile,
                                                 const TrustRecord& record, std::string_view server, Time now);

/// Adds what a rollover has added. Error: storage_failed, if there are 16 already, or one is larger than 16 KiB; then
/// nothing is added.
Result<> learn(TrustRecord& record, const pki::Rollover& rollover, Time now);

/// Offers the CAs among `certificates`, roots first, to an operator, in place of what this server offered before. Of
/// more than 16 of all servers, the others' are forgotten first.
void see(TrustRecord& record, const std::string& server, const std::vector<pki::Certificate>& certificates, Time now);

/// What an operator may accept for this server.
std::vector<ServerAnchor> offered(const TrustRecord& record, std::string_view server);

/// Trusts what is offered with this fingerprint (as Certificate::fingerprint()) for this server from now on. Of more
/// than 16, the oldest are forgotten. Error: wrong_state, if it is not offered; says what is.
Result<ServerAnchor> accept(TrustRecord& record, std::string_view fingerprint, std::string_view server, Time now);

/// Keeps what the server has shown of the fingerprint that the profile names, in place of what was kept of it before. A
/// certificate larger than 16 KiB is not kept; of more than 8 servers, the first are forgotten.
void pin(TrustRecord& record, const pki::Certificate& certificate, const std::string& server, Time now);

/// What is kept of this server, as long as it has the fingerprint (as Certificate::fingerprint()) that the profile
/// names now.
std::optional<pki::Certificate> pinned(const TrustRecord& record, std::string_view fingerprint,
                                       std::string_view server);

/// The JSON text of trust-anchors.json, version 1: times are seconds since the epoch, certificates PEM.
std::string to_json(const TrustRecord& record);
/// The other way. Unknown members are passed over. Error: state_corrupt, also for a newer version.
Result<TrustRecord> parse_trust_record(std::string_view text);

}  // namespace devid::identity
