#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "tokens/authorization.h"
#include "tokens/tpm/context.h"
#include "tokens/tpm/tpm_spec.h"

namespace devid::tpm {

/// Everything that TPM2_Create is told of a new key, and what its file has to remember of it.
struct KeyForm {
  TPM2B_PUBLIC area{};
  Secret auth_value;
  std::optional<Bytes> pcr_policy;  ///< pcr.h
};

/// Puts the authorization into the template: the auth value of [tpm] key_auth, which is read or made; or the values
/// that the PCRs have now, which are read from the TPM. Errors: config_invalid if there is no key_auth or its value
/// does not fit; those of read_secret() and read_pcrs().
Result<KeyForm> form_of(Context& context, const TpmSpec& spec, KeyAlgorithm algorithm,
                        const KeyAuthorization& authorization);

}  // namespace devid::tpm
