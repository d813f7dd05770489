#include "tokens/pkcs11/importing.h"

#include <tuple>
#include <utility>
#include <variant>

#include "tokens/pkcs11/ckr.h"
#include "tokens/pkcs11/key_template.h"
#include "tokens/pkcs11/public_object.h"
#include "tokens/pkcs11/wrapping.h"

namespace devid::pkcs11 {
namespace {

CK_ULONG key_type(KeyAlgorithm algorithm) { return is_rsa(algorithm) ? CKK_RSA : CKK_EC; }

/// PKCS#11 v2.40 mechanisms, 2.1.3 and 2.3.4.
void add_private_numbers(Template& form, const OutsideKey& key) {
  if (const auto* ec = std::get_if<EcNumbers>(&key.numbers)) {
    form.add(CKA_EC_PARAMS, curve_oid(key.public_key.algorithm)).add(CKA_VALUE, ec->scalar.reveal());
    return;
  }
  const auto& rsa = std::get<RsaNumbers>(key.numbers);
  form.add(CKA_MODULUS, rsa.modulus).add(CKA_PUBLIC_EXPONENT, usual_exponent());
  form.add(CKA_PRIVATE_EXPONENT, rsa.private_exponent.reveal());
  form.add(CKA_PRIME_1, rsa.prime_1.reveal()).add(CKA_PRIME_2, rsa.prime_2.reveal());
  form.add(CKA_EXPONENT_1, rsa.exponent_1.reveal()).add(CKA_EXPONENT_2, rsa.exponent_2.reveal());
  form.add(CKA_COEFFICIENT, rsa.coefficient.reveal());
}

Result<> add_public_numbers(Template& form, const OutsideKey& key) {
  if (const auto* rsa = std::get_if<RsaNumbers>(&key.numbers)) {
    form.add(CKA_MODULUS, rsa->modulus).add(CKA_PUBLIC_EXPONENT, usual_exponent());
    return {};
  }
  const auto& ec = std::get<EcNumbers>(key.numbers);
  const auto point = ec_point(ec.x, ec.y);
  if (!point) return fail(point.error());
  form.add(CKA_EC_PARAMS, curve_oid(key.public_key.algorithm)).add(CKA_EC_POINT, *point);
  return {};
}

Template of_class(Template form, CK_OBJECT_CLASS type, KeyAlgorithm algorithm) {
  form.add(CKA_CLASS, CK_ULONG{type}).add(CKA_KEY_TYPE, key_type(algorithm));
  return form;
}

/// `make(Detail)` with all attributes and, if the token dislikes one of them, with the least.
template <class Make>
Result<CK_OBJECT_HANDLE> with_fitting_detail(Session& session, const Make& make) {
  auto made = make(Detail::full);
  return made || !refuses_template(session.last()) ? made : make(Detail::least);
}

/// How a private key gets into the token.
enum class Way { unwrapped, created };

Template private_form(const ObjectName& name, const OutsideKey& key, Detail detail) {
  const KeyAlgorithm algorithm = key.public_key.algorithm;
  return of_class(private_template(name, algorithm, detail), CKO_PRIVATE_KEY, algorithm);
}

Result<CK_OBJECT_HANDLE> unwrapped_object(Session& session, const ObjectName& name, const OutsideKey& key) {
  const auto wrapping = Wrapping::start(session);
  if (!wrapping) return fail(wrapping.error());
  return with_fitting_detail(session, [&](Detail detail) {
    return (*wrapping)->unwrap(key.private_key_info, private_form(name, key, detail));
  });
}

Result<CK_OBJECT_HANDLE> private_object(Session& session, const ObjectName& name, const OutsideKey& key, Way way) {
  if (way == Way::unwrapped) {
    auto unwrapped = unwrapped_object(session, name, key);
    if (unwrapped || session.is_lost()) return unwrapped;
    // Whatever the token did not like about wrapping, now it says what it does not like about the key.
  }
  return with_fitting_detail(session, [&](Detail detail) {
    Template form = private_form(name, key, detail);
    add_private_numbers(form, key);
    return session.create(std::move(form));
  });
}

Result<CK_OBJECT_HANDLE> public_object(Session& session, const ObjectName& name, const OutsideKey& key) {
  return with_fitting_detail(session, [&](Detail detail) -> Result<CK_OBJECT_HANDLE> {
    Template form = of_class(public_template(name, detail), CKO_PUBLIC_KEY, key.public_key.algorithm);
    if (auto added = add_public_numbers(form, key); !added) return fail(std::move(added.error()));
    return session.create(std::move(form));
  });
}

Result<Generated> import_in(Session& session, ObjectName name, const OutsideKey& key, Way way) {
  if (auto writable = require_writable(session); !writable) return fail(std::move(writable.error()));
  const auto private_key = private_object(session, name, key, way);
  if (!private_key) return fail(private_key.error());
  const auto public_key = public_object(session, name, key);
  const KeyAlgorithm algorithm = key.public_key.algorithm;
  auto made = public_key ? facts_of_pair(session, {.public_key = *public_key, .private_key = *private_key},
                                         std::move(name), algorithm, Origin::outside)
                         : Result<Generated>(fail(public_key.error()));
  if (made) return made;
  std::ignore = session.destroy(*private_key);
  if (public_key) std::ignore = session.destroy(*public_key);
  return made;
}

}  // namespace

Result<Generated> import_key(Hsm& hsm, const KeySpec& spec, const OutsideKey& key) {
  Way way = Way::unwrapped;  // if the token stumbles over that, a second attempt goes the other way
  return make_pair(hsm, spec, [&](Session& session, ObjectName name) {
    return import_in(session, std::move(name), key, std::exchange(way, Way::created));
  });
}

}  // namespace devid::pkcs11
