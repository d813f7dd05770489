#pragma once

#include <string>
#include <vector>

#include "agent/pki/certificate.h"

namespace devid::pki {

/// Where a certificate says that its revocation can be found out. Of other people's making: URLs of any scheme, in
/// printable ASCII, none twice.
struct RevocationUrls {
  std::vector<std::string> ocsp;  ///< id-ad-ocsp of its authorityInfoAccess (RFC 5280 4.2.2.1)
  std::vector<std::string> crl;   ///< cRLDistributionPoints (RFC 5280 4.2.1.13) that are by its issuer, for all reasons
};

RevocationUrls revocation_urls(const Certificate& certificate);

}  // namespace devid::pki
