#include "tokens/pkcs11/key_template.h"

#include <algorithm>
#include <array>

namespace devid::pkcs11 {
namespace {

constexpr auto exponent_65537 = std::to_array<unsigned char>({0x01, 0x00, 0x01});

/// Attributes that have to be so, or unknown if the token need not tell them.
struct Demand {
  CK_ATTRIBUTE_TYPE type;
  bool value;
  bool told;
  bool by_birth;  ///< of keys that were made in the token only
  const char* otherwise;
};
constexpr auto demands = std::to_array<Demand>({
    {CKA_SENSITIVE, true, true, false, "CKA_SENSITIVE is not true"},
    {CKA_EXTRACTABLE, false, true, false, "CKA_EXTRACTABLE is not false"},
    {CKA_TOKEN, true, false, false, "CKA_TOKEN is false: it would go with the session"},
    {CKA_PRIVATE, true, false, false, "CKA_PRIVATE is false: it can be used without the PIN"},
    {CKA_ALWAYS_SENSITIVE, true, false, true, "CKA_ALWAYS_SENSITIVE is false"},
    {CKA_NEVER_EXTRACTABLE, true, false, true, "CKA_NEVER_EXTRACTABLE is false"},
    {CKA_LOCAL, true, false, true, "CKA_LOCAL is false: it was not made in the token"},
});

}  // namespace

Template private_template(const ObjectName& name, KeyAlgorithm algorithm, Detail detail) {
  Template key;
  key.add(CKA_TOKEN, true).add(CKA_PRIVATE, true).add(CKA_SENSITIVE, true).add(CKA_EXTRACTABLE, false);
  key.add(CKA_SIGN, true).add(CKA_ID, name.id).add(CKA_LABEL, as_bytes(name.label));
  if (detail == Detail::least) return key;
  if (is_rsa(algorithm))
    key.add(CKA_DECRYPT, false).add(CKA_UNWRAP, false);
  else
    key.add(CKA_DERIVE, false);
  return key;
}

Template public_template(const ObjectName& name, Detail detail) {
  Template key;
  key.add(CKA_TOKEN, true).add(CKA_VERIFY, true).add(CKA_ID, name.id).add(CKA_LABEL, as_bytes(name.label));
  if (detail == Detail::full) key.add(CKA_PRIVATE, false);
  return key;
}

BytesView usual_exponent() { return std::as_bytes(std::span(exponent_65537)); }

Result<> check_protection(Session& session, CK_OBJECT_HANDLE private_key, Origin origin) {
  std::array<CK_ATTRIBUTE_TYPE, demands.size()> asked{};
  std::ranges::transform(demands, asked.begin(), &Demand::type);
  const auto attributes = session.read(private_key, asked);
  if (!attributes) return fail(attributes.error());
  for (const auto& [type, value, told, by_birth, otherwise] : demands) {
    if (by_birth && origin == Origin::outside) continue;
    const auto flag = attributes->flag(type);
    if (flag ? *flag == value : !told) continue;
    return fail({.code = Errc::token_failed,
                 .retry = Retry::after_operator,
                 .what = "the token made a key that it does not protect; devid destroyed it",
                 .reason = otherwise,
                 .hint = "configure the token so that keys are sensitive and not extractable, or use another token"});
  }
  return {};
}

}  // namespace devid::pkcs11
