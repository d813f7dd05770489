#pragma once

#include "tokens/tpm/pcr.h"
#include "tokens/tpm/sign_command.h"

namespace devid::tpm {

/// A loaded key whose authPolicy is that of a PcrStatement.
struct PcrBoundKey {
  ESYS_TR key;
  ESYS_TR salt_key;  ///< a storage key
  TPMI_ALG_HASH name_hash;
  const PcrStatement& statement;
};

/// TPM2_Sign in a policy session of its own: three TPM commands, again if a register changed between them.
/// Error: token_auth_failed if the registers hold something else, with which they are.
Result<TPMT_SIGNATURE> sign_under_pcr_policy(Context& context, const PcrBoundKey& key, const SignRequest& request);

}  // namespace devid::tpm
