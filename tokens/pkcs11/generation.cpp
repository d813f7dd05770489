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
#include "tokens/pkcs11/uri.h"
#include "tokens/pkcs11/uri_pem.h"

namespace devid::pkcs11 {
namespace {

constexpr std::size_t id_size = 16;

Result<Bytes> random_id() {
  Bytes id(id_size);
  if (RAND_bytes(as_uchar(std::span(id)), static_cast<int>(id.size())) != 1)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot make a CKA_ID"));
  return id;
}

/// "devid:" is how devid knows its own keys again.
std::string own_label(const std::string& label) { return label.starts_with("devid:") ? label : "devid:" + label; }

/// The public half, and what kind of pair is to be made.
Template pair_template(const ObjectName& name, KeyAlgorithm algorithm, Detail detail) {
  Template key = public_template(name, detail);
  if (!is_rsa(algorithm))
    key.add(CKA_EC_PARAMS, curve_oid(algorithm));
  else
    key.add(CKA_MODULUS_BITS, CK_ULONG{key_bits(algorithm)}).add(CKA_PUBLIC_EXPONENT, usual_exponent());
  return key;
}

Error cannot_make(Session& session, const Call& call, KeyAlgorithm algorithm) {
  Error error = to_error(call);
  if (error.code != Errc::token_unsupported) return error;
  error.what = "the token makes no " + std::string(algorithm_name(algorithm)) + " keys";
  error.reason += "; it says that it makes: " + session.what_it_makes();
  return error;
}

Result<Generated> generate_in(Session& session, ObjectName name, KeyAlgorithm algorithm) {
  if (auto writable = require_writable(session); !writable) return fail(std::move(writable.error()));
  const CK_MECHANISM_TYPE mechanism = is_rsa(algorithm) ? CKM_RSA_PKCS_KEY_PAIR_GEN : CKM_EC_KEY_PAIR_GEN;
  const auto with = [&](Detail detail, Session::KeyPair& pair) {
    return session.generate(mechanism, pair_template(name, algorithm, detail),
                            private_template(name, algorithm, detail), pair);
  };
  Session::KeyPair pair;
  CK_RV rv = with(Detail::full, pair);
  if (refuses_template(rv)) rv = with(Detail::least, pair);
  if (rv != CKR_OK) return fail(cannot_make(session, {.name = "C_GenerateKeyPair", .rv = rv}, algorithm));
  auto made = facts_of_pair(session, pair, std::move(name), algorithm, Origin::token);
  if (made) return made;
  for (const CK_OBJECT_HANDLE handle : {pair.private_key, pair.public_key}) std::ignore = session.destroy(handle);
  return made;
}

/// Before the token has the key.
Result<> announce(const KeySpec& spec, const Session& session, const ObjectName& name) {
  if (!spec.announce) return {};
  const auto uri = key_uri(session.slot().token, name);
  if (!uri) return fail(uri.error());
  const auto pem = write_uri_pem(*uri);
  if (!pem) return fail(pem.error());
  spec.announce(*pem);
  return {};
}

}  // namespace

Result<> require_writable(const Session& session) {
  if (session.is_writable()) return {};
  return fail(to_error({.name = "C_OpenSession", .rv = CKR_TOKEN_WRITE_PROTECTED}));
}

Result<Generated> facts_of_pair(Session& session, const Session::KeyPair& pair, ObjectName name, KeyAlgorithm algorithm,
                                Origin origin) {
  if (auto safe = check_protection(session, pair.private_key, origin); !safe) return fail(std::move(safe.error()));
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

Result<Generated> generate(Hsm& hsm, const KeySpec& spec) {
  return make_pair(hsm, spec, [&](Session& session, ObjectName name) {
    return generate_in(session, std::move(name), spec.algorithm);
  });
}

Result<Generated> make_pair(Hsm& hsm, const KeySpec& spec, const MakePair& make) {
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
    ObjectName name{.id = std::move(*id), .label = own_label(spec.label)};
    if (auto announced = announce(spec, session, name); !announced) return fail(std::move(announced.error()));
    return make(session, std::move(name));
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
