#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "agent/identity/discovery.h"
#include "agent/identity/idevid_certificate.h"
#include "tokens/token.h"

namespace devid::identity {

/// A certificate that may be the IDevID's.
struct CandidateCertificate {
  std::string token;  ///< empty: in a file
  std::string location;
  Result<IdevidCertificates> certificates;
};

/// A key that may be the IDevID's.
struct CandidateKey {
  std::string token;
  std::string location;
  Result<PublicKey> public_key;
  std::unique_ptr<PrivateKey> opened;  ///< maybe
  std::optional<Error> failure;        ///< why it does not sign, once that is known
};

/// A token that could not be asked.
struct FailedToken {
  std::string token;
  Error error;
};

/// What a search has to choose from.
struct Candidates {
  std::vector<CandidateCertificate> certificates;  ///< the likeliest first
  std::vector<CandidateKey> keys;
  std::vector<FailedToken> failures;
  std::vector<std::string> asked;  ///< tokens that did answer
};

/// "template:H-2": any of the keys that begin so.
bool is_open_template(std::string_view key);

/// Where a candidate is, as a profile says it.
CertificateLocation location_of(const CandidateCertificate& certificate);

/// The index of the TCG for the certificate of the attestation key (IAK).
bool is_attestation_index(const CandidateCertificate& certificate);

/// Collects them. Opens no key but the one that the search names.
Candidates collect(const Search& search);

}  // namespace devid::identity
