// The part of Connection for keys that devid did not make: at persistent handles, and derived from templates.

#include "tokens/tpm/connection.h"
#include "tokens/tpm/hash.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/resource.h"

namespace devid::tpm {
namespace {

Error another_key() {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "another key than before is at the handle",
          .hint = "find out who provisioned the TPM again"};
}

Error another_seed() {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "the TPM derives another key from the template than before",
          .hint = "its endorsement seed was changed (TPM2_ChangeEPS): the IDevID that the factory made is lost"};
}

/// Whether two public areas are of one key.
bool is_same(const TPM2B_PUBLIC& now, const TPM2B_PUBLIC& before) {
  const auto one = write_public(now);
  const auto other = write_public(before);
  return one && other && *one == *other;
}

}  // namespace

Result<TPM2B_PUBLIC> Connection::read_public(TPM2_HANDLE handle) {
  known_.erase(handle);
  const auto tr = open_handle(*context_, handle);
  if (!tr) return fail(tr.error());
  PersistentObject object(*context_, *tr);
  auto area = public_area_of(*context_, object.tr());
  if (!area) return fail(std::move(area.error()));
  known_.emplace(handle, Known{.area = *area, .object = std::move(object)});
  return area;
}

Result<TPMT_SIGNATURE> Connection::sign_at(TPM2_HANDLE handle, const TPM2B_PUBLIC& expected,
                                           const SignRequest& request) {
  if (!known_.contains(handle)) {
    if (auto area = read_public(handle); !area) return fail(std::move(area.error()));
  }
  const Known& known = known_.at(handle);
  if (!is_same(known.area, expected)) return fail(another_key());
  Esys<TPMT_SIGNATURE> signature;
  const auto sign = send_authorized_sign(known, request, signature);
  if (!sign) return fail(sign.error());
  if (sign->ok()) return *signature;
  if (!forget_lost_session(*sign) && is_stale(*sign, known.object.tr())) known_.erase(handle);
  return fail(to_error(*sign));
}

Result<Call> Connection::send_authorized_sign(const Known& known, const SignRequest& request,
                                              Esys<TPMT_SIGNATURE>& signature) {
  const auto policy = policy_needed_by(known.area.publicArea);
  if (!policy) {
    const auto guard = session();
    if (!guard) return fail(guard.error());
    return send_sign(*context_, known.object.tr(), (*guard)->for_command(Encrypt::command), request, signature);
  }
  auto session = satisfied_policy(*policy);
  if (!session) return fail(std::move(session.error()));
  const Call sign =
      send_sign(*context_, known.object.tr(), session->for_last_command(Encrypt::command), request, signature);
  if (sign.ok()) session->abandon();  // it ended with the command
  return sign;
}

Result<Session> Connection::start_policy(TPMI_ALG_HASH hash) {
  const auto root = storage_root(usual_parent(), IfAbsent::fail);
  if (!root && root.error().code == Errc::token_no_such_key) {
    const auto salt_key = make_salt_key(*context_);
    return salt_key ? Session::start_policy(*context_, salt_key->tr(), hash) : fail(salt_key.error());
  }
  if (!root) return fail(root.error());
  auto started = Session::start_policy(*context_, *root, hash);
  if (!started && is_replaced(*root)) forget_storage_root(usual_parent());
  return started;
}

Result<Session> Connection::satisfied_policy(const EndorsementPolicy& policy) {
  const auto guard = session();
  if (!guard) return fail(guard.error());
  auto policy_session = start_policy(hash_algorithm(policy.hash));
  if (!policy_session)
    return fail(while_doing("start a policy session with the TPM", std::move(policy_session.error())));
  const auto call = endorsement_.satisfy(**guard, policy, *policy_session);
  if (!call) return fail(call.error());
  if (call->ok()) return policy_session;
  forget_lost_session(*call);
  return fail(while_doing("satisfy the policy of the key", endorsement_.error_of(*call)));
}

Result<TPM2B_PUBLIC> Connection::derive(const DerivedKey& key) {
  const auto derived = load(key);
  if (!derived) return fail(derived.error());
  return (*derived)->area;
}

Result<const Connection::Derived*> Connection::load(const DerivedKey& key) {
  if (derived_ && derived_->key == key) return &*derived_;
  unload();
  const auto form = parse_public(key.form);
  if (!form) return fail(form.error());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  ESYS_TR made = ESYS_TR_NONE;
  Esys<TPM2B_PUBLIC> area;
  const auto create = endorsement_.create_primary(**guard, *form, made, area);
  if (!create) return fail(create.error());
  if (create->ok()) {
    return &derived_.emplace(Derived{.key = key, .area = *area, .object = TransientObject(*context_, made)});
  }
  forget_lost_session(*create);
  return fail(endorsement_.error_of(*create));
}

Result<TPMT_SIGNATURE> Connection::sign(const DerivedKey& key, const TPM2B_PUBLIC& expected,
                                        const SignRequest& request) {
  const auto guard = session();  // first: a storage root key that is made for now takes the place of the derived one
  if (!guard) return fail(guard.error());
  const auto derived = load(key);
  if (!derived) return fail(derived.error());
  if (!is_same((*derived)->area, expected)) return fail(another_seed());
  const ESYS_TR object = (*derived)->object.tr();
  Esys<TPMT_SIGNATURE> signature;
  const Call sign = send_sign(*context_, object, (*guard)->for_command(Encrypt::command), request, signature);
  if (sign.ok()) return *signature;
  if (!forget_lost_session(sign) && is_stale(sign, object)) forget_loaded();
  return fail(to_error(sign));
}

}  // namespace devid::tpm
