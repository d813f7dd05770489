#pragma once

#include <openssl/x509v3.h>

#include <span>
#include <string>

#include "agent/pki/certificate.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::pki {

/// Of which certificate it is asked whether it is revoked, and when. `issuer` is the one whose key signed it. Borrowed.
struct RevocationQuestion {
  const Certificate& subject;
  const Certificate& issuer;
  Time now;
};

/// What a CA says of one certificate, verified. A certificate that it does not know is not good, but an error.
struct RevocationStatement {
  bool revoked = false;
  bool on_hold = false;  ///< revoked, but the CA may take it back (certificateHold, RFC 5280 5.3.1)
  std::string detail;    ///< "since 2026-03-01 12:00:00 UTC, keyCompromise"; empty if it is not revoked
  Time until;            ///< how long the statement may be used without asking again
};

/// How far the clocks of a CA and of this device may be apart.
constexpr Seconds clock_skew = std::chrono::minutes(5);
/// The longest that a statement is used without asking again.
constexpr Seconds longest_statement = std::chrono::days(7);

// What OCSP responses and CRLs have in common. Errors are revocation_unknown, with the reason.

Error unusable_statement(std::string reason);

/// Whether a statement is current, and until when it may be used: until nextUpdate, but never longer than
/// longest_statement. Without nextUpdate (RFC 6960 4.2.2.1: there is always newer information) an hour, and only if
/// thisUpdate is less than a day ago.
Result<Time> valid_until(const ASN1_TIME* this_update, const ASN1_TIME* next_update, Time now);

/// Refuses a signature over a digest of less than 112 bits, SHA-1 and MD5 that is: who can make two statements with one
/// digest has one of them signed.
Result<> check_digest(const X509_ALGOR* algorithm);

/// Refuses critical extensions that are not among `known`.
Result<> check_critical(const X509_EXTENSIONS* extensions, std::span<const int> known);
Result<> check_critical(X509_EXTENSION* extension, std::span<const int> known);

/// "since 2026-03-01 12:00:00 UTC, keyCompromise". `reason` is a CRLReason (RFC 5280 5.3.1), negative for none.
std::string revocation_detail(const ASN1_TIME* since, long reason);

}  // namespace devid::pki
