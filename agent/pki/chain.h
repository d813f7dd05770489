#pragma once

#include <vector>

#include "agent/pki/certificate.h"

namespace devid::pki {

/// The intermediates from a certificate up to, without, a trust anchor; nearest to the leaf first.
/// `pool` is untrusted; only `anchors` are trusted, each whether self-signed or not. Checked as of `now` with OpenSSL's
/// verifier at security level 2 (112 bits), purpose any. Error: certificate_untrusted or certificate_not_valid_now.
Result<std::vector<Certificate>> build_chain(const Certificate& leaf, const std::vector<Certificate>& pool,
                                             const std::vector<Certificate>& anchors, Time now);

/// The same verifier's word on one path: a certificate, then those above it, up to below `anchor`. Errors: as there.
Result<> verify_path(const std::vector<Certificate>& path, const Certificate& anchor, Time now);

}  // namespace devid::pki
