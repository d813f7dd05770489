#pragma once

#include <filesystem>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// The certificates of an IDevID: its own first, then its intermediates.
using IdevidCertificates = std::vector<pki::Certificate>;

/// Parses what the manufacturer stored: one certificate in DER, or PEM with up to seven intermediates; 0x00 or 0xff may
/// fill up what follows. The first one must not be a CA's. Error: idevid_missing.
Result<IdevidCertificates> parse_idevid_certificates(BytesView stored);

/// The same from a file. Errors: idevid_missing, storage_failed.
Result<IdevidCertificates> read_idevid_certificates(const std::filesystem::path& file);

/// Whether the certificate is valid now; 9999-12-31 is for good (IEEE 802.1AR-2018 8.7). Error: idevid_expired.
Result<> check_validity(const pki::Certificate& certificate, Time now);

}  // namespace devid::identity
