#pragma once

#include <vector>

#include "agent/pki/certificate.h"
#include "agent/pki/name.h"

namespace devid::pki {

/// May the CA put other names into the certificate than were asked for?
enum class NamePolicy { exact, ca_may_change };

/// What was asked for, and what is trusted: the measure for what comes back.
struct Expectation {
  PublicKey public_key;
  Names names;
  NamePolicy name_policy = NamePolicy::exact;
  std::vector<Certificate> anchors;
  std::vector<Certificate> intermediates;  ///< untrusted help for chain building: what /cacerts returned
};

/// A certificate that may become `current`.
struct Accepted {
  Certificate leaf;
  std::vector<Certificate> chain;  ///< intermediates, nearest to the leaf first
};

/// Judges what a CA returned as if the CA were hostile. `returned` may hold the chain as well, in any order: the leaf
/// is the one with the requested public key. It must be for that key, chain to the anchors, be valid now (or within 60
/// s: clocks differ), be no CA, allow digitalSignature where it has a keyUsage, allow clientAuth where it has an
/// extendedKeyUsage, and hold every name asked for (exact: no other subject attribute or alternative name either,
/// beyond a re-ordering). Errors: certificate_wrong_key, certificate_untrusted, certificate_not_valid_now,
/// certificate_is_ca, certificate_wrong_usage, certificate_wrong_name. All of them Retry::later: the CA may do better
/// next time.
Result<Accepted> accept(const std::vector<Certificate>& returned, const Expectation& expectation, Time now);

}  // namespace devid::pki
