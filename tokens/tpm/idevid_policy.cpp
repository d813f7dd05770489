#include "tokens/tpm/idevid_policy.h"

#include <algorithm>
#include <span>

#include "tokens/tpm/hash.h"
#include "tokens/tpm/policy_digest.h"

namespace devid::tpm {
namespace {

constexpr TPMA_NV policy_index_attributes = TPMA_NV_POLICYWRITE | TPMA_NV_WRITEALL | TPMA_NV_PPREAD |
                                            TPMA_NV_OWNERREAD | TPMA_NV_AUTHREAD | TPMA_NV_POLICYREAD | TPMA_NV_NO_DA |
                                            TPMA_NV_WRITTEN;

std::optional<Digest> digest_of(TPMI_ALG_HASH algorithm) {
  switch (algorithm) {
    case TPM2_ALG_SHA256: return Digest::sha256;
    case TPM2_ALG_SHA384: return Digest::sha384;
    case TPM2_ALG_SHA512: return Digest::sha512;
    default: return std::nullopt;
  }
}

TPMI_RH_NV_INDEX policy_index_for(Digest hash) {
  switch (hash) {
    case Digest::sha384: return 0x01C90011;
    case Digest::sha512: return 0x01C90012;
    default: return 0x01C90010;
  }
}

Bytes endorsement_secret(Digest hash) { return PolicyDigest(hash).secret(TPM2_RH_ENDORSEMENT).value(); }

Bytes endorsement_secret_for(Digest hash, TPM2_CC command) {
  return PolicyDigest(hash).secret(TPM2_RH_ENDORSEMENT).command_code(command).value();
}

/// The NV index that holds another policy, as the TCG defines it: a Name of it is part of the authPolicy.
TPMS_NV_PUBLIC policy_index(Digest hash) {
  TPMS_NV_PUBLIC index{};
  index.nvIndex = policy_index_for(hash);
  index.nameAlg = hash_algorithm(hash);
  index.attributes = policy_index_attributes;
  const Bytes policy = endorsement_secret(hash);
  index.authPolicy.size = static_cast<UINT16>(policy.size());
  std::ranges::copy(policy, std::as_writable_bytes(std::span(index.authPolicy.buffer)).begin());
  index.dataSize = static_cast<UINT16>(sizeof(TPMI_ALG_HASH) + digest_size(hash));
  return index;
}

}  // namespace

std::vector<Bytes> idevid_policy_branches(Digest hash) {
  return {endorsement_secret(hash), endorsement_secret_for(hash, TPM2_CC_Certify),
          endorsement_secret_for(hash, TPM2_CC_ActivateCredential),
          PolicyDigest(hash).authorize_nv(policy_index(hash)).value()};
}

Bytes idevid_policy(Digest hash) { return PolicyDigest(hash).any_of(idevid_policy_branches(hash)).value(); }

std::optional<EndorsementPolicy> endorsement_policy_of(const TPMT_PUBLIC& area) {
  const auto hash = digest_of(area.nameAlg);
  if (!hash) return std::nullopt;
  const BytesView policy = std::as_bytes(std::span(area.authPolicy.buffer, area.authPolicy.size));
  if (std::ranges::equal(policy, endorsement_secret(*hash))) return EndorsementPolicy{.hash = *hash};
  if (std::ranges::equal(policy, idevid_policy(*hash))) {
    return EndorsementPolicy{.hash = *hash, .branches = idevid_policy_branches(*hash)};
  }
  return std::nullopt;
}

std::optional<EndorsementPolicy> policy_needed_by(const TPMT_PUBLIC& area) {
  if ((area.objectAttributes & TPMA_OBJECT_USERWITHAUTH) != 0) return std::nullopt;
  return endorsement_policy_of(area);
}

}  // namespace devid::tpm
