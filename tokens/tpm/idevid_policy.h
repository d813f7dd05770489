#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <optional>
#include <vector>

#include "base/bytes.h"
#include "tokens/key.h"

namespace devid::tpm {

/// The branches of the authPolicy that the TCG gives to IDevID keys, in the order of its TPM2_PolicyOR ("TPM 2.0 Keys
/// for Device Identity and Attestation" 1.00, 7.3.6). With E = TPM2_PolicySecret(TPM_RH_ENDORSEMENT) they are
///   E                                              whoever knows the endorsement password may sign
///   E, TPM2_PolicyCommandCode(TPM2_Certify)
///   E, TPM2_PolicyCommandCode(TPM2_ActivateCredential)
///   TPM2_PolicyAuthorizeNV                         what E once wrote to an NV index: 0x01C90010 for SHA-256,
///   0x01C90011
///                                                  for SHA-384, 0x01C90012 for SHA-512
std::vector<Bytes> idevid_policy_branches(Digest hash);

/// That authPolicy.
Bytes idevid_policy(Digest hash);

/// An authPolicy that is satisfied by TPM2_PolicySecret(TPM_RH_ENDORSEMENT), and then by TPM2_PolicyOR of `branches` if
/// there are any.
struct EndorsementPolicy {
  Digest hash = Digest::sha256;
  std::vector<Bytes> branches;
};

/// How a key is used by its authPolicy. None if devid does not know that.
std::optional<EndorsementPolicy> endorsement_policy_of(const TPMT_PUBLIC& area);

/// The same for a key that can be used in no other way: none if its userWithAuth is set.
std::optional<EndorsementPolicy> policy_needed_by(const TPMT_PUBLIC& area);

}  // namespace devid::tpm
