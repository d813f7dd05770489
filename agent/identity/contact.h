#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/est/session.h"
#include "agent/identity/workplace.h"
#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::identity {

/// A session with one of the profile's servers, which has told its CA certificates.
struct Contact {
  std::string server;  ///< est::Endpoint::base
  std::unique_ptr<est::Session> session;
  std::vector<pki::Certificate> anchors;        ///< what a certificate that the CA issues must chain to
  std::vector<pki::Certificate> intermediates;  ///< of /cacerts; untrusted help for building chains
};

/// Reaches the first of the profile's servers that can be reached, within the profile's deadline: they are a ring, and
/// `first` (an Endpoint::base, may be empty) is where it begins; authenticates it by what the profile and the
/// identity's trust store trust, and follows a CA that has a new root, which is noticed and kept. `client` is whom the
/// device is, if it shows a certificate. A server that nobody has accepted yet is asked for its CA certificates alone,
/// without any credential: they are kept for the operator to look at, and the next one is tried. Errors: trust_missing,
/// config_missing, config_invalid, and those of est::Session; of several servers, the error is that of one that has to
/// be accepted, or the most telling one, and its reason names the others'.
Result<Contact> contact(const Workplace& place, const std::optional<est::ClientCredential>& client,
                        std::string_view first);

}  // namespace devid::identity
