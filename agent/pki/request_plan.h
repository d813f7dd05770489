#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/pki/acceptance.h"
#include "agent/pki/csr.h"
#include "agent/pki/csr_attributes.h"
#include "base/result.h"

namespace devid::pki {

/// What the device would ask for by itself.
struct RequestWish {
  Names names;
  NamePolicy name_policy = NamePolicy::exact;
  std::vector<KeyAlgorithm> algorithms;      ///< that the profile allows, the preferred one first; at least one
  std::map<std::string, std::string> facts;  ///< by dotted OID, UTF-8: what the device may tell of itself
};

/// What it will ask for.
struct RequestPlan {
  KeyAlgorithm algorithm = KeyAlgorithm::ec_p256;
  CsrSpec csr;                 ///< without a challenge password
  bool wants_binding = false;  ///< the server asks for proof of possession linked to TLS
  /// What the server wants and does not get, for the journal; safe to print. Bounded like CsrAttributes::ignored.
  std::vector<std::string> remarks;
};

/// Merges what the CA wants with what the profile says. The rule, which devid.toml(5) tells:
/// - Key: the first of the allowed algorithms that fits one of those that the CA names. Error if none does.
/// - Digest of the request's signature: the one that fits the key if the CA names it or none, else the shortest that it
///   names: the likeliest that the token can do.
/// - Subject and alternative names: what the profile names is asked for, always. A template's attribute with a value
///   that the profile does not name at all is added where the profile says that the CA may change names, else left out
///   with a remark. If it contradicts the profile (the same attribute with another value) the profile's is asked for
///   with a remark where the CA may change names, and it is an error otherwise. One without a value is filled from the
///   profile or the facts, else left out with a remark. The order is the template's, then that of the profile. A CA may
///   add 32 of each. Alternative names of kinds that devid does not ask for are left out with a remark.
/// - Extensions: those with a value are taken as they are, but for basicConstraints that say CA, a keyUsage with
///   keyCertSign, and a keyUsage or extendedKeyUsage without digitalSignature or clientAuth, which are errors: the
///   answer would not be accepted. devid's own keyUsage and extendedKeyUsage stay where the CA names none. Other
///   extensions without a value are left out with a remark.
/// - Facts: an attribute of the request is added for a fact that the device knows, unless the subject has it; else a
///   remark.
/// csr.names are what the answer is to be measured by, and what asks_for() finds in the request.
/// Error: demand_unmet, saying what the server wants and what the profile says to it.
Result<RequestPlan> plan_request(const CsrAttributes& wanted, const RequestWish& wish);

}  // namespace devid::pki
