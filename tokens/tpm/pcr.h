#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/authorization.h"
#include "tokens/tpm/context.h"

namespace devid::tpm {

/// What TPM2_PolicyPCR is told (TPM 2.0 Part 3, 23.7): the hash of the values of the selected registers, one after the
/// other, and which they are.
struct PcrStatement {
  TPM2B_DIGEST digest{};
  TPML_PCR_SELECTION selection{};
};

/// What the registers hold now: one TPM command for each eight of them. `name_hash` is the hash of the key's Name.
/// Error: token_unsupported if the TPM does not have this bank, with those that it has.
Result<PcrStatement> read_pcrs(Context& context, const PcrPolicy& policy, TPMI_ALG_HASH name_hash);

/// The authPolicy of a key that wants nothing but this statement.
TPM2B_DIGEST policy_digest(const PcrStatement& statement, TPMI_ALG_HASH name_hash);

/// As commandPolicy of a TSS2 PEM: TPM2B_DIGEST, then TPML_PCR_SELECTION (draft-bottomley-tpm2-keys 4.1.2). Untrusted
/// when read: anything but that is token_wrong_key.
Result<Bytes> write_statement(const PcrStatement& statement);
Result<PcrStatement> parse_statement(BytesView bytes);

/// "sha256:0,7"
std::string describe(const TPML_PCR_SELECTION& selection);

}  // namespace devid::tpm
