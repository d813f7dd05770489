#pragma once

#include <openssl/asn1.h>

#include <optional>

#include "base/clock.h"

namespace devid::pki {

/// A UTCTime or GeneralizedTime as a Time; none if it is no date. By the calendar's arithmetic, not the C library's: no
/// time zone, no 32-bit time_t.
std::optional<Time> to_time(const ASN1_TIME* time);

}  // namespace devid::pki
