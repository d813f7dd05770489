#pragma once

#include <tss2/tss2_tpm2_types.h>

#include <cstdint>
#include <span>

#include "base/bytes.h"
#include "tokens/key.h"

namespace devid::tpm {

/// Computes in software what the policyDigest of a session is after policy commands (TPM 2.0 Part 3, 23): the
/// authPolicy of a key is such a digest. Each function stands for one command, in the order in which they are sent.
class PolicyDigest {
 public:
  explicit PolicyDigest(Digest hash);

  /// TPM2_PolicySecret with a hierarchy or another permanent handle, and an empty policyRef.
  PolicyDigest& secret(TPM2_HANDLE permanent);
  PolicyDigest& command_code(TPM2_CC command);
  /// TPM2_PolicyAuthorizeNV: the policy is what the index holds. Whatever came before it does not matter.
  PolicyDigest& authorize_nv(const TPMS_NV_PUBLIC& index);
  /// TPM2_PolicyOR: whatever came before it does not matter, as long as it is one of `branches`.
  PolicyDigest& any_of(std::span<const Bytes> branches);

  /// As long as the digest.
  [[nodiscard]] const Bytes& value() const { return value_; }

 private:
  PolicyDigest& extend(TPM2_CC command, BytesView data);
  void restart();

  Digest hash_;
  Bytes value_;
};

}  // namespace devid::tpm
