#include "tokens/pkcs11/mechanism.h"

#include <algorithm>
#include <optional>

#include "tokens/pkcs11/ckr.h"

namespace devid::pkcs11 {
namespace {

constexpr CK_ULONG most_mechanisms = 4096;
constexpr CK_MECHANISM_TYPE aes_key_wrap_kwp = 0x210b;  // CKM_AES_KEY_WRAP_KWP of PKCS#11 v3.0

/// The sizes that a mechanism says it takes, in bits. A token that does not say takes all.
struct Range {
  CK_ULONG least = 0;
  CK_ULONG most = 0;
  [[nodiscard]] bool contains(std::size_t bits) const { return most == 0 || (bits >= least && bits <= most); }
};

Result<std::vector<CK_MECHANISM_TYPE>> mechanisms_of(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot) {
  CK_ULONG count = 0;
  CK_RV rv = functions.C_GetMechanismList(slot, nullptr, &count);
  std::vector<CK_MECHANISM_TYPE> mechanisms(std::min(count, most_mechanisms));
  count = mechanisms.size();
  if (rv == CKR_OK && count > 0) rv = functions.C_GetMechanismList(slot, mechanisms.data(), &count);
  if (rv != CKR_OK) return fail(to_error({.name = "C_GetMechanismList", .rv = rv}));
  mechanisms.resize(std::min<std::size_t>(count, mechanisms.size()));
  return mechanisms;
}

std::optional<Range> range_of(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot,
                              const std::vector<CK_MECHANISM_TYPE>& mechanisms, CK_MECHANISM_TYPE mechanism) {
  if (std::ranges::find(mechanisms, mechanism) == mechanisms.end()) return std::nullopt;
  CK_MECHANISM_INFO info{};
  if (functions.C_GetMechanismInfo(slot, mechanism, &info) != CKR_OK) return Range{};
  return Range{.least = info.ulMinKeySize, .most = info.ulMaxKeySize};
}

}  // namespace

Result<std::vector<KeyAlgorithm>> algorithms_of(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot) {
  const auto mechanisms = mechanisms_of(functions, slot);
  if (!mechanisms) return fail(mechanisms.error());
  const auto ec = range_of(functions, slot, *mechanisms, CKM_EC_KEY_PAIR_GEN);
  const auto rsa = range_of(functions, slot, *mechanisms, CKM_RSA_PKCS_KEY_PAIR_GEN);
  std::vector<KeyAlgorithm> algorithms;
  for (const KeyAlgorithm algorithm : all_key_algorithms()) {
    const auto& range = is_rsa(algorithm) ? rsa : ec;
    if (range && range->contains(key_bits(algorithm))) algorithms.push_back(algorithm);
  }
  return algorithms;
}

std::optional<CK_MECHANISM_TYPE> unwrapping_mechanism(CK_FUNCTION_LIST& functions, CK_SLOT_ID slot) {
  const auto mechanisms = mechanisms_of(functions, slot);
  if (!mechanisms) return std::nullopt;
  const auto unwraps = [&](CK_MECHANISM_TYPE mechanism) {
    CK_MECHANISM_INFO info{};
    return std::ranges::find(*mechanisms, mechanism) != mechanisms->end() &&
           functions.C_GetMechanismInfo(slot, mechanism, &info) == CKR_OK && (info.flags & CKF_UNWRAP) != 0;
  };
  if (!range_of(functions, slot, *mechanisms, CKM_RSA_PKCS_KEY_PAIR_GEN) || !unwraps(CKM_RSA_PKCS_OAEP))
    return std::nullopt;
  for (const CK_MECHANISM_TYPE mechanism : {aes_key_wrap_kwp, CK_MECHANISM_TYPE{CKM_AES_KEY_WRAP_PAD}})
    if (unwraps(mechanism)) return mechanism;
  return std::nullopt;
}

std::string algorithms_text(const std::vector<KeyAlgorithm>& algorithms) {
  std::string text;
  for (const KeyAlgorithm algorithm : algorithms)
    text.append(text.empty() ? "" : ", ").append(algorithm_name(algorithm));
  return text.empty() ? "none" : text;
}

}  // namespace devid::pkcs11
