#include "tokens/tpm/policy_digest.h"

#include <tss2/tss2_mu.h>

#include <array>

#include "tokens/tpm/hash.h"

namespace devid::tpm {
namespace {

/// A number as the TPM hashes it, most significant octet first.
template <class Number>
Bytes octets_of(Number number) {
  constexpr unsigned octet_bits = 8;
  Bytes octets;
  for (unsigned left = sizeof(Number); left > 0; --left) {
    octets.push_back(static_cast<std::byte>((number >> ((left - 1) * octet_bits)) & 0xFFU));
  }
  return octets;
}

}  // namespace

PolicyDigest::PolicyDigest(Digest hash) : hash_(hash), value_(digest_size(hash)) {}

PolicyDigest& PolicyDigest::secret(TPM2_HANDLE permanent) {
  // The Name of a permanent handle is the handle itself (TPM 2.0 Part 1, 16). The policyRef comes last, and is empty.
  extend(TPM2_CC_PolicySecret, octets_of(permanent));
  value_ = hash_of(hash_algorithm(hash_), {value_});
  return *this;
}

PolicyDigest& PolicyDigest::command_code(TPM2_CC command) {
  return extend(TPM2_CC_PolicyCommandCode, octets_of(command));
}

PolicyDigest& PolicyDigest::authorize_nv(const TPMS_NV_PUBLIC& index) {
  std::array<unsigned char, sizeof(TPMS_NV_PUBLIC)> buffer{};
  std::size_t size = 0;
  Bytes name = octets_of(index.nameAlg);
  if (Tss2_MU_TPMS_NV_PUBLIC_Marshal(&index, buffer.data(), buffer.size(), &size) == TSS2_RC_SUCCESS) {
    const Bytes hash = hash_of(index.nameAlg, {std::as_bytes(std::span(buffer)).first(size)});
    name.insert(name.end(), hash.begin(), hash.end());
  }
  restart();
  return extend(TPM2_CC_PolicyAuthorizeNV, name);
}

PolicyDigest& PolicyDigest::any_of(std::span<const Bytes> branches) {
  Bytes all;
  for (const Bytes& branch : branches) all.insert(all.end(), branch.begin(), branch.end());
  restart();
  return extend(TPM2_CC_PolicyOR, all);
}

PolicyDigest& PolicyDigest::extend(TPM2_CC command, BytesView data) {
  value_ = hash_of(hash_algorithm(hash_), {value_, octets_of(command), data});
  return *this;
}

void PolicyDigest::restart() { value_.assign(digest_size(hash_), std::byte{0}); }

}  // namespace devid::tpm
