#include "tokens/tpm/connection.h"

#include <fmt/format.h>

#include <utility>

#include "tokens/tpm/capabilities.h"
#include "tokens/tpm/duplicate.h"
#include "tokens/tpm/pcr_signature.h"
#include "tokens/tpm/private_area.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/resource.h"

namespace devid::tpm {
namespace {

Error refused_value(Error error, const SecretSource& source, bool again) {
  error.code = Errc::token_auth_failed;
  error.retry = Retry::after_operator;
  error.what = "the auth value in " + source_text(source) + " is not that of the key";
  if (again) error.what += ", and is not tried again: each try brings the TPM's lockout nearer";
  error.hint =
      "put the value there that was there when the key was made; if it is lost, enroll again, so that a new key is "
      "made";
  return error;
}

Error refused_root(TPM2_HANDLE handle, Error error) {
  error.code = Errc::token_auth_failed;
  error.retry = Retry::after_operator;
  error.what = fmt::format("the storage root key at 0x{:08x} has another auth value", handle);
  error.hint = "name it in srk_auth of [tpm] in devid.toml";
  return error;
}

/// What RefusedValues knows a storage root key by.
Bytes place_of(TPM2_HANDLE handle) { return to_bytes(as_bytes(fmt::format("{:08x}", handle))); }

/// Names what the TPM makes, beside what it does not.
Error with_alternatives(Error error, Context& context) {
  const auto algorithms = supported_algorithms(context);
  if (!algorithms || algorithms->empty()) return error;
  std::string names;
  for (const KeyAlgorithm algorithm : *algorithms) {
    names += (names.empty() ? "" : ", ") + std::string(algorithm_name(algorithm));
  }
  error.hint = "this TPM makes " + names + ": choose one of them in the profile";
  return error;
}

Call send_create(Context& context, ESYS_TR root, ESYS_TR session, const KeyForm& form, Esys<TPM2B_PRIVATE>& secret,
                 Esys<TPM2B_PUBLIC>& area) {
  TPM2B_SENSITIVE_CREATE sensitive{};
  const TpmAuth auth(form.auth_value);
  sensitive.sensitive.userAuth = auth.get();
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  TPM2B_PRIVATE* raw_private = nullptr;
  TPM2B_PUBLIC* raw_public = nullptr;
  const Call create = context.call("Esys_Create", [&](ESYS_CONTEXT* esys) {
    return Esys_Create(esys, root, session, ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &form.area, &no_data, &no_pcrs,
                       &raw_private, &raw_public, nullptr, nullptr, nullptr);
  });
  wipe(std::as_writable_bytes(std::span(&sensitive, 1)));
  secret.reset(raw_private);
  area.reset(raw_public);
  return create;
}

Call send_import(Context& context, ESYS_TR root, ESYS_TR session, const TPM2B_PUBLIC& area, const Duplicate& duplicate,
                 Esys<TPM2B_PRIVATE>& secret) {
  const TPM2B_DATA no_key{};
  const TPMT_SYM_DEF_OBJECT no_inner_wrap{.algorithm = TPM2_ALG_NULL};
  TPM2B_PRIVATE* raw_private = nullptr;
  const Call sent = context.call("Esys_Import", [&](ESYS_CONTEXT* esys) {
    return Esys_Import(esys, root, session, ESYS_TR_NONE, ESYS_TR_NONE, &no_key, &area, &duplicate.wrapped,
                       &duplicate.seed, &no_inner_wrap, &raw_private);
  });
  secret.reset(raw_private);
  return sent;
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const TpmSpec& spec, RefusedValues& refused) {
  auto context = Context::connect(spec.tcti);
  if (!context) return fail(std::move(context.error()));
  return std::unique_ptr<Connection>(new Connection(std::move(*context), spec, refused));
}

Result<Session*> Connection::session() {
  if (session_) return &*session_;
  const auto root = storage_root(usual_parent(), IfAbsent::fail);
  if (!root && root.error().code == Errc::token_no_such_key) return session_without_root();
  if (!root) return fail(root.error());
  if (session_) return &*session_;  // it was needed to make the storage root key
  auto started = Session::start(*context_, *root);
  if (!started) {
    if (is_replaced(*root)) forget_storage_root(usual_parent());
    return fail(while_doing("start a session with the TPM", std::move(started.error())));
  }
  session_.emplace(std::move(*started));
  return &*session_;
}

Result<Session*> Connection::session_without_root() {
  const auto salt_key = make_salt_key(*context_);
  if (!salt_key) return fail(salt_key.error());
  auto started = Session::start(*context_, salt_key->tr());
  if (!started) return fail(while_doing("start a session with the TPM", std::move(started.error())));
  session_.emplace(std::move(*started));
  return &*session_;
}

Result<ESYS_TR> Connection::storage_root(TPM2_HANDLE parent, IfAbsent if_absent) {
  if (const auto known = roots_.find(parent); known != roots_.end()) return known->second.tr();
  auto opened = open_or_make(parent, if_absent);
  if (!opened) return fail(std::move(opened.error()));
  const ESYS_TR tr = opened->tr();
  if (spec_.storage_root_auth && !opened->is_transient()) {
    const auto value = read_auth_value(*spec_.storage_root_auth, sizeof(TPM2B_AUTH::buffer));
    if (!value) return fail(value.error());
    if (refused_.contains(place_of(parent), *value)) return fail(refused_root(parent, {}));
    if (auto set = use_auth_value(*context_, tr, *value); !set) return fail(std::move(set.error()));
  }
  roots_.emplace(parent, std::move(*opened));
  return tr;
}

Result<StorageRoot> Connection::open_or_make(TPM2_HANDLE parent, IfAbsent if_absent) {
  if (parent == TPM2_RH_OWNER) return make(parent);
  auto opened = open_storage_root(*context_, parent);
  if (opened || opened.error().code != Errc::token_no_such_key) return opened;
  if (parent == spec_.storage_root) return if_absent == IfAbsent::make ? make(parent) : std::move(opened);
  opened.error().hint = fmt::format(
      "the key was made beneath it, and [tpm] srk in devid.toml has another one: make it again with tpm2_createprimary "
      "-C o -G ecc -c srk.ctx && tpm2_evictcontrol -C o -c srk.ctx 0x{:08x}, or enroll again",
      parent);
  return opened;
}

Result<StorageRoot> Connection::make(TPM2_HANDLE parent) {
  unload();  // two more slots are needed
  const auto guard = owner_session();
  if (!guard) return fail(guard.error());
  const bool transient = parent == TPM2_RH_OWNER;
  Secret value;
  if (!transient && spec_.storage_root_auth) {
    auto read = read_auth_value(*spec_.storage_root_auth, digest_size(Digest::sha256));
    if (!read) return fail(std::move(read.error()));
    value = std::move(*read);
  }
  const TpmAuth auth(value);
  const Making making{.session = *guard, .auth = auth.get()};
  auto made = transient ? make_transient_storage_root(*context_, making) : make_storage_root(*context_, parent, making);
  forget_auth_value(*context_, ESYS_TR_RH_OWNER);
  if (!made) session_.reset();  // it may be the reason
  return made;
}

// It is asked for before there is a storage root key to salt a session with.
Result<Session*> Connection::owner_session() {
  if (!spec_.owner_auth && !spec_.storage_root_auth) return nullptr;
  if (auto set = use_auth_value(*context_, ESYS_TR_RH_OWNER, spec_.owner_auth); !set) return fail(set.error());
  return session_ ? Result<Session*>(&*session_) : session_without_root();
}

Result<KeyBlob> Connection::create(KeyAlgorithm algorithm, const KeyAuthorization& authorization) {
  unload();
  const auto form = form_of(*context_, spec_, algorithm, authorization);
  if (!form) return fail(form.error());
  const TPM2_HANDLE parent = usual_parent();
  const auto root = storage_root(parent);
  if (!root) return fail(root.error());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  Esys<TPM2B_PRIVATE> private_area;
  Esys<TPM2B_PUBLIC> public_area;
  const Call create = send_create(*context_, *root, (*guard)->for_command(Encrypt::command_and_response), *form,
                                  private_area, public_area);
  return blob_of(create, parent, *form, public_area.get(), private_area.get());
}

Result<KeyBlob> Connection::import_key(const OutsideKey& key, const KeyAuthorization& authorization) {
  unload();
  const auto form = form_of(*context_, spec_, key.public_key.algorithm, authorization);
  if (!form) return fail(form.error());
  const TPM2_HANDLE parent = usual_parent();
  const auto root = storage_root(parent);
  if (!root) return fail(root.error());
  const auto parent_area = public_area_of(*context_, *root);
  if (!parent_area) return fail(parent_area.error());
  const TPM2B_PUBLIC area = imported_area(form->area, key);
  const auto duplicate = duplicate_for(parent_area->publicArea, key, area, form->auth_value);
  if (!duplicate) return fail(duplicate.error());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  Esys<TPM2B_PRIVATE> private_area;
  const Call sent = send_import(*context_, *root, (*guard)->for_command(Encrypt::command_and_response), area,
                                *duplicate, private_area);
  return blob_of(sent, parent, *form, &area, private_area.get());
}

Result<KeyBlob> Connection::blob_of(const Call& made, TPM2_HANDLE parent, const KeyForm& form,
                                    const TPM2B_PUBLIC* public_area, const TPM2B_PRIVATE* private_area) {
  if (!made.ok()) {
    Error error = parent_failed(made, parent);
    return fail(is_unsupported(made.rc) ? with_alternatives(std::move(error), *context_) : std::move(error));
  }
  auto public_bytes = write_public(*public_area);
  if (!public_bytes) return fail(std::move(public_bytes.error()));
  auto private_bytes = write_private(*private_area);
  if (!private_bytes) return fail(std::move(private_bytes.error()));
  return KeyBlob{.public_area = std::move(*public_bytes),
                 .private_area = std::move(*private_bytes),
                 .parent = parent,
                 .has_auth_value = !form.auth_value.empty(),
                 .pcr_policy = form.pcr_policy};
}

Result<ESYS_TR> Connection::load(const KeyBlob& key) {
  if (loaded_ && loaded_->key == key) return loaded_->object.tr();
  unload();
  const auto public_area = parse_public(key.public_area);
  if (!public_area) return fail(public_area.error());
  const auto private_area = parse_private(key.private_area);
  if (!private_area) return fail(private_area.error());
  const auto root = storage_root(key.parent);
  if (!root) return fail(root.error());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  ESYS_TR tr = ESYS_TR_NONE;
  const Call load = context_->call("Esys_Load", [&](ESYS_CONTEXT* esys) {
    return Esys_Load(esys, *root, (*guard)->for_command(Encrypt::command_and_response), ESYS_TR_NONE, ESYS_TR_NONE,
                     &*private_area, &*public_area, &tr);
  });
  if (!load.ok()) return fail(parent_failed(load, key.parent));
  loaded_.emplace(Loaded{.key = key, .object = TransientObject(*context_, tr)});
  return tr;
}

Result<TPMT_SIGNATURE> Connection::sign(const KeyBlob& key, const SignRequest& request) {
  const auto guard = session();
  if (!guard) return fail(guard.error());
  const auto object = load(key);
  if (!object) return fail(object.error());
  return key.pcr_policy ? sign_with_pcrs(key, *key.pcr_policy, *object, request) : sign_loaded(key, *object, request);
}

Result<TPMT_SIGNATURE> Connection::sign_loaded(const KeyBlob& key, ESYS_TR object, const SignRequest& request) {
  const auto value = auth_value_of(key);
  if (!value) return fail(value.error());
  if (auto set = use_auth_value(*context_, object, *value); !set) return fail(std::move(set.error()));
  const auto guard = session();
  if (!guard) return fail(guard.error());
  Esys<TPMT_SIGNATURE> signature;
  const Call sign = send_sign(*context_, object, (*guard)->for_command(Encrypt::command), request, signature);
  forget_auth_value(*context_, object);
  if (sign.ok()) return *signature;
  if (forget_lost_session(sign)) return fail(to_error(sign));
  if (is_stale(sign, object)) {
    forget_loaded();
    return fail(to_error(sign));
  }
  if (!key.has_auth_value || !spec_.key_auth || !is_auth_failure(sign.rc)) return fail(to_error(sign));
  // What does not count towards the lockout is answered with TPM_RC_BAD_AUTH (TPM 2.0 Part 3, 5.6).
  if (base_code(sign.rc) == TPM2_RC_AUTH_FAIL) refused_.remember(key.private_area, *value);
  return fail(refused_value(to_error(sign), *spec_.key_auth, false));
}

Result<Secret> Connection::auth_value_of(const KeyBlob& key) const {
  if (!key.has_auth_value) return Secret();
  if (!spec_.key_auth) {
    return fail({.code = Errc::token_auth_failed,
                 .retry = Retry::after_operator,
                 .what = "the key has an auth value, and none is configured",
                 .hint = "name the credential or the file in key_auth of [tpm] in devid.toml"});
  }
  auto value = read_auth_value(*spec_.key_auth, sizeof(TPM2B_AUTH::buffer));
  if (value && refused_.contains(key.private_area, *value)) return fail(refused_value({}, *spec_.key_auth, true));
  return value;
}

Result<TPMT_SIGNATURE> Connection::sign_with_pcrs(const KeyBlob& key, BytesView policy, ESYS_TR object,
                                                  const SignRequest& request) {
  const auto statement = parse_statement(policy);
  if (!statement) return fail(statement.error());
  const auto area = parse_public(key.public_area);
  if (!area) return fail(area.error());
  const auto root = storage_root(key.parent);
  if (!root) return fail(root.error());
  auto signature = sign_under_pcr_policy(
      *context_, {.key = object, .salt_key = *root, .name_hash = area->publicArea.nameAlg, .statement = *statement},
      request);
  if (signature) return signature;
  if (is_replaced(object)) forget_loaded();
  if (is_replaced(*root)) forget_storage_root(key.parent);
  return signature;
}

bool Connection::is_stale(const Call& call, ESYS_TR object) {
  // Another object at a handle shows as a refused authorization, because the session's HMAC covers the object's Name.
  return (is_missing_object(call.rc) || is_auth_failure(call.rc)) && is_replaced(object);
}

bool Connection::is_replaced(ESYS_TR object) {
  const auto there = is_still_there(*context_, object);
  if (!there || *there) return false;
  stale_ = true;
  return true;
}

bool Connection::forget_lost_session(const Call& call) {
  if (!is_auth_failure(call.rc) && !is_missing_session(call.rc)) return false;
  if (!session_ || session_->is_ours()) return false;
  session_->abandon();
  session_.reset();
  // The TPM was reset, or more: the next session is salted with the storage root key as it is then.
  std::erase_if(roots_, [](const auto& root) { return !root.second.is_transient(); });
  stale_ = true;
  return true;
}

void Connection::forget_storage_root(TPM2_HANDLE parent) {
  session_.reset();
  const auto root = roots_.find(parent);
  if (root == roots_.end()) return;
  root->second.abandon();
  roots_.erase(root);
}

void Connection::forget_loaded() {
  if (loaded_) loaded_->object.abandon();
  if (derived_) derived_->object.abandon();
  unload();
}

void Connection::unload_all() {
  unload();
  roots_.erase(TPM2_RH_OWNER);
}

Error Connection::parent_failed(const Call& call, TPM2_HANDLE parent) {
  Error error = to_error(call);
  if (forget_lost_session(call)) return error;
  const auto root = roots_.find(parent);
  if (root != roots_.end() && is_stale(call, root->second.tr())) {
    forget_storage_root(parent);
    return error;
  }
  if (!is_auth_failure(call.rc)) return error;
  if (spec_.storage_root_auth && base_code(call.rc) == TPM2_RC_AUTH_FAIL) {
    if (const auto value = read_secret(*spec_.storage_root_auth)) refused_.remember(place_of(parent), *value);
  }
  roots_.erase(parent);  // its auth value is read again
  return refused_root(parent, std::move(error));
}

}  // namespace devid::tpm
