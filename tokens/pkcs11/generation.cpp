#include "tokens/pkcs11/generation.h"

#include <openssl/rand.h>

#include <algorithm>
#include <array>
#include <tuple>
#include <utility>
#include <variant>

#include "base/openssl.h"
#include "tokens/pkcs11/ckr.h"
#include "tokens/pkcs11/public_object.h"

namespace devid::pkcs11 {
namespace {

constexpr std::size_t id_size = 16;
constexpr auto exponent_65537 = std::to_array<unsigned char>({0x01, 0x00, 0x01});

/// Whether attributes that only forbid what nobody asks for are named: there are tokens that refuse them.
enum class Detail { full, least };

Result<Bytes> random_id() {
  Bytes id(id_size);
  if (RAND_bytes(as_uchar(std::span(id)), static_cast<int>(id.size())) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot make a CKA_ID"));
  return id;
}

/// "devid:" is how devid knows its own keys again.
std::string own_label(const std::string& label) { return label.starts_with("devid:") ? label : "devid:" + label; }

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

Template public_template(const ObjectName& name, KeyAlgorithm algorithm, Detail detail) {
  Template key;
  key.add(CKA_TOKEN, true).add(CKA_VERIFY, true).add(CKA_ID, name.id).add(CKA_LABEL, as_bytes(name.label));
  if (detail == Detail::full) key.add(CKA_PRIVATE, false);
  if (!is_rsa(algorithm)) return key.add(CKA_EC_PARAMS, curve_oid(algorithm));
  return key.add(CKA_MODULUS_BITS, CK_ULONG{key_bits(algorithm)})
      .add(CKA_PUBLIC_EXPONENT, std::as_bytes(std::span(exponent_65537)));
}

Error cannot_make(Session& session, const Call& call, KeyAlgorithm algorithm) {
  Error error = to_error(call);
  if (error.code != Errc::token_unsupported) return error;
  error.what = "the token makes no " + std::string(algorithm_name(algorithm)) + " keys";
  error.reason += "; it says that it makes: " + session.what_it_makes();
  return error;
}

/// Attributes that have to be so, or unknown if the token need not tell them.
struct Demand {
  CK_ATTRIBUTE_TYPE type;
  bool value;
  bool told;
  const char* otherwise;
};
constexpr auto demands = std::to_array<Demand>({
    {CKA_SENSITIVE, true, true, "CKA_SENSITIVE is not true"},
    {CKA_EXTRACTABLE, false, true, "CKA_EXTRACTABLE is not false"},
    {CKA_TOKEN, true, false, "CKA_TOKEN is false: it would go with the session"},
    {CKA_PRIVATE, true, false, "CKA_PRIVATE is false: it can be used without the PIN"},
    {CKA_ALWAYS_SENSITIVE, true, false, "CKA_ALWAYS_SENSITIVE is false"},
    {CKA_NEVER_EXTRACTABLE, true, false, "CKA_NEVER_EXTRACTABLE is false"},
    {CKA_LOCAL, true, false, "CKA_LOCAL is false: it was not made in the token"},
});

Result<> check_protection(Session& session, CK_OBJECT_HANDLE private_key) {
  std::array<CK_ATTRIBUTE_TYPE, demands.size()> asked{};
  std::ranges::transform(demands, asked.begin(), &Demand::type);
  const auto attributes = session.read(private_key, asked);
  if (!attributes) return fail(attributes.error());
  for (const auto& [type, value, told, otherwise] : demands) {
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

Result<Generated> facts_of_pair(Session& session, const Session::KeyPair& pair, ObjectName name,
                                KeyAlgorithm algorithm) {
  if (auto safe = check_protection(session, pair.private_key); !safe) return fail(std::move(safe.error()));
  std::vector<Object> objects{{.handle = pair.private_key, .type = CKO_PRIVATE_KEY, .name = name},
                              {.handle = pair.public_key, .type = CKO_PUBLIC_KEY, .name = name}};
  auto facts = facts_of(session, objects.front(), objects);
  if (!facts) return fail(std::move(facts.error()));
  if (facts->public_key.algorithm != algorithm) {
    return fail({.code = Errc::token_failed,
                 .retry = Retry::later,
                 .what = "the token made another kind of key",
                 .reason = std::string(algorithm_name(facts->public_key.algorithm))});
  }
  session.remember(name.id, std::move(objects));
  return Generated{.name = std::move(name), .facts = std::move(*facts), .token = session.slot().token};
}

Result<Generated> generate_in(Session& session, ObjectName name, KeyAlgorithm algorithm) {
  if (!session.is_writable()) return fail(to_error({.name = "C_OpenSession", .rv = CKR_TOKEN_WRITE_PROTECTED}));
  const CK_MECHANISM_TYPE mechanism = is_rsa(algorithm) ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN;
  const auto with = [&](Detail detail, Session::KeyPair& pair) {
    return session.generate(mechanism, public_template(name, algorithm, detail),
                            private_template(name, algorithm, detail), pair);
  };
  Session::KeyPair pair;
  CK_RV rv = with(Detail::full, pair);
  if (refuses_template(rv)) rv = with(Detail::least, pair);
  if (rv != CKR_OK) return fail(cannot_make(session, {.name = "C_GenerateKeyPair", .rv = rv}, algorithm));
  auto made = facts_of_pair(session, pair, std::move(name), algorithm);
  if (made) return made;
  for (const CK_OBJECT_HANDLE handle : {pair.private_key, pair.public_key}) std::ignore = session.destroy(handle);
  return made;
}

}  // namespace

Result<Generated> generate(Hsm& hsm, const KeySpec& spec) {
  if (!std::holds_alternative<NoAuthorization>(spec.authorization)) {
    return fail({.code = Errc::token_unsupported,
                 .retry = Retry::after_operator,
                 .what = "keys of a PKCS#11 token have no authorization of their own: its PIN guards them",
                 .hint = "take the authorization out of the profile, or keep this identity in the TPM"});
  }
  std::vector<Bytes> tried;
  auto made = hsm.run(Login::needed, [&](Session& session) -> Result<Generated> {
    auto id = random_id();
    if (!id) return fail(std::move(id.error()));
    tried.push_back(*id);
    return generate_in(session, {.id = std::move(*id), .label = own_label(spec.label)}, spec.algorithm);
  });
  // A generation that failed may have left something, a lost session's even both halves.
  if (made) tried.pop_back();
  for (const Bytes& id : tried)
    std::ignore = hsm.run(Login::needed, [&](Session& session) { return destroy_ours(session, id); });
  return made;
}

Result<> destroy_ours(Session& session, const Bytes& id) {
  session.forget(id);  // what was remembered may not be all
  const auto objects = session.objects_of(id);
  if (!objects) return fail(objects.error());
  session.forget(id);
  Result<> result;
  for (const Object& object : *objects) {
    if (is_ours(object)) {
      if (auto destroyed = session.destroy(object.handle); !destroyed) result = std::move(destroyed);
    } else if (object.type == CKO_PRIVATE_KEY) {
      result =
          fail({.code = Errc::token_wrong_key,
                .retry = Retry::after_operator,
                .what = "devid did not make the key " + object_location(object.name) + " and does not destroy it"});
    }
  }
  return result;
}

}  // namespace devid::pkcs11
