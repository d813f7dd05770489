#pragma once

#include <vector>

#include "agent/identity/workplace.h"
#include "agent/pki/certificate.h"
#include "base/bytes.h"
#include "base/result.h"

namespace devid::identity {

/// Whether the server's certificate is taken back, as far as the profile wants it known: what est::ServerCheck gives.
/// It is asked within a handshake, so that it takes no more than half of what connecting may take: a firewall that
/// drops what goes to the responders must not cost the connection. Places that do not answer are not asked again by
/// the same job; what cannot be found out is noticed under the policy soft. Errors: certificate_revoked,
/// revocation_unknown, cancelled.
Result<> check_server_revocation(const Workplace& place, const std::vector<pki::Certificate>& chain, BytesView stapled);

/// Whether a certificate that devid obtained is taken back, likewise: leaf, intermediates of the `pool`, `anchors` of
/// which one ends the chain. Where no chain can be built, nothing is known. Takes no longer than one request to the
/// server may. Errors: certificate_revoked, revocation_unknown, cancelled.
Result<> check_own_revocation(const Workplace& place, const pki::Certificate& leaf,
                              const std::vector<pki::Certificate>& pool, const std::vector<pki::Certificate>& anchors);

}  // namespace devid::identity
