#include "tokens/tpm/connection.h"

#include <tss2/tss2_mu.h>

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "tokens/tpm/public_area.h"
#include "tokens/tpm/resource.h"
#include "tokens/tpm/srk.h"

namespace devid::tpm {
namespace {

Result<Bytes> write_private(const TPM2B_PRIVATE& area) {
  std::array<unsigned char, sizeof(TPM2B_PRIVATE)> buffer{};
  std::size_t size = 0;
  const Call marshal{.name = "Tss2_MU_TPM2B_PRIVATE_Marshal",
                     .rc = Tss2_MU_TPM2B_PRIVATE_Marshal(&area, buffer.data(), buffer.size(), &size)};
  if (!marshal.ok()) return fail(to_error(marshal));
  return to_bytes(buffer.data(), size);
}

Result<TPM2B_PRIVATE> parse_private(BytesView bytes) {
  TPM2B_PRIVATE area{};
  std::size_t offset = 0;
  const Call unmarshal{.name = "Tss2_MU_TPM2B_PRIVATE_Unmarshal",
                       .rc = Tss2_MU_TPM2B_PRIVATE_Unmarshal(as_uchar(bytes), bytes.size(), &offset, &area)};
  if (unmarshal.ok() && offset == bytes.size()) return area;
  return fail({.code = Errc::token_wrong_key,
               .retry = Retry::after_operator,
               .what = "the private area of the key is malformed",
               .reason = unmarshal.ok() ? "there are bytes after its end" : to_error(unmarshal).reason});
}

Error another_key() {
  return {.code = Errc::token_wrong_key,
          .retry = Retry::after_operator,
          .what = "another key than before is at the handle",
          .hint = "find out who provisioned the TPM again"};
}

}  // namespace

Result<std::unique_ptr<Connection>> Connection::open(const std::string& tcti) {
  auto context = Context::connect(tcti);
  if (!context) return fail(std::move(context.error()));
  return std::unique_ptr<Connection>(new Connection(std::move(*context)));
}

Result<ESYS_TR> Connection::storage_root() {
  if (!storage_root_) {
    auto opened = open_storage_root(*context_);
    if (!opened) return fail(std::move(opened.error()));
    storage_root_.emplace(std::move(*opened));
  }
  return storage_root_->tr();
}

Result<Session*> Connection::session() {
  if (!session_) {
    const auto root = storage_root();
    if (!root) return fail(root.error());
    auto started = Session::start(*context_, *root);
    if (!started) return fail(while_doing("start a session with the TPM", std::move(started.error())));
    session_.emplace(std::move(*started));
  }
  return &*session_;
}

Result<KeyBlob> Connection::create(const TPM2B_PUBLIC& form) {
  unload();
  const auto root = storage_root();
  if (!root) return fail(root.error());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  const TPM2B_SENSITIVE_CREATE no_auth{};
  const TPM2B_DATA no_data{};
  const TPML_PCR_SELECTION no_pcrs{};
  TPM2B_PRIVATE* raw_private = nullptr;
  TPM2B_PUBLIC* raw_public = nullptr;
  const Call create = context_->call("Esys_Create", [&](ESYS_CONTEXT* esys) {
    return Esys_Create(esys, *root, (*guard)->for_command(Encrypt::command_and_response), ESYS_TR_NONE, ESYS_TR_NONE,
                       &no_auth, &form, &no_data, &no_pcrs, &raw_private, &raw_public, nullptr, nullptr, nullptr);
  });
  const Esys<TPM2B_PRIVATE> private_area(raw_private);
  const Esys<TPM2B_PUBLIC> public_area(raw_public);
  if (!create.ok()) {
    if (!forget_lost_session(create) && is_stale(create, *root)) forget_storage_root();
    return fail(to_error(create));
  }
  auto public_bytes = write_public(*public_area);
  if (!public_bytes) return fail(std::move(public_bytes.error()));
  auto private_bytes = write_private(*private_area);
  if (!private_bytes) return fail(std::move(private_bytes.error()));
  return KeyBlob{.public_area = std::move(*public_bytes), .private_area = std::move(*private_bytes)};
}

Result<ESYS_TR> Connection::load(const KeyBlob& key) {
  if (loaded_ && loaded_->key == key) return loaded_->object.tr();
  unload();
  const auto public_area = parse_public(key.public_area);
  if (!public_area) return fail(public_area.error());
  const auto private_area = parse_private(key.private_area);
  if (!private_area) return fail(private_area.error());
  const auto root = storage_root();
  if (!root) return fail(root.error());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  ESYS_TR tr = ESYS_TR_NONE;
  const Call load = context_->call("Esys_Load", [&](ESYS_CONTEXT* esys) {
    return Esys_Load(esys, *root, (*guard)->for_command(Encrypt::command_and_response), ESYS_TR_NONE, ESYS_TR_NONE,
                     &*private_area, &*public_area, &tr);
  });
  if (!load.ok()) {
    if (!forget_lost_session(load) && is_stale(load, *root)) forget_storage_root();
    return fail(to_error(load));
  }
  loaded_.emplace(Loaded{.key = key, .object = TransientObject(*context_, tr)});
  return tr;
}

Call Connection::call_sign(Session& session, ESYS_TR key, BytesView digest, const TPMT_SIG_SCHEME& scheme,
                           Esys<TPMT_SIGNATURE>& signature) {
  TPM2B_DIGEST value{.size = static_cast<UINT16>(digest.size())};
  std::ranges::copy(digest, std::as_writable_bytes(std::span(value.buffer)).begin());
  // The digest was not made by the TPM: no ticket. Unrestricted keys need none.
  const TPMT_TK_HASHCHECK no_ticket{.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
  TPMT_SIGNATURE* raw = nullptr;
  const Call sign = context_->call("Esys_Sign", [&](ESYS_CONTEXT* esys) {
    return Esys_Sign(esys, key, session.for_command(Encrypt::command), ESYS_TR_NONE, ESYS_TR_NONE, &value, &scheme,
                     &no_ticket, &raw);
  });
  signature.reset(raw);
  return sign;
}

Result<TPMT_SIGNATURE> Connection::sign(const KeyBlob& key, BytesView digest, const TPMT_SIG_SCHEME& scheme) {
  const auto guard = session();
  if (!guard) return fail(guard.error());
  const auto object = load(key);
  if (!object) return fail(object.error());
  Esys<TPMT_SIGNATURE> signature;
  const Call sign = call_sign(**guard, *object, digest, scheme, signature);
  if (sign.ok()) return *signature;
  if (!forget_lost_session(sign) && is_stale(sign, *object) && loaded_) {
    loaded_->object.abandon();
    loaded_.reset();
  }
  return fail(to_error(sign));
}

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

Result<TPMT_SIGNATURE> Connection::sign_at(TPM2_HANDLE handle, const TPM2B_PUBLIC& expected, BytesView digest,
                                           const TPMT_SIG_SCHEME& scheme) {
  if (!known_.contains(handle)) {
    if (auto area = read_public(handle); !area) return fail(std::move(area.error()));
  }
  const Known& known = known_.at(handle);
  const auto now = write_public(known.area);
  const auto before = write_public(expected);
  if (!now || !before || *now != *before) return fail(another_key());
  const auto guard = session();
  if (!guard) return fail(guard.error());
  Esys<TPMT_SIGNATURE> signature;
  const Call sign = call_sign(**guard, known.object.tr(), digest, scheme, signature);
  if (sign.ok()) return *signature;
  if (!forget_lost_session(sign) && is_stale(sign, known.object.tr())) known_.erase(handle);
  return fail(to_error(sign));
}

bool Connection::is_stale(const Call& call, ESYS_TR object) {
  // Another object at a handle shows as a refused authorization, because the session's HMAC covers the object's Name.
  if (!is_missing_object(call.rc) && !is_auth_failure(call.rc)) return false;
  const auto there = is_still_there(*context_, object);
  if (!there || *there) return false;
  stale_ = true;
  return true;
}

bool Connection::forget_lost_session(const Call& call) {
  if (!is_missing_session(call.rc)) return false;
  if (session_) session_->abandon();
  session_.reset();
  // The TPM was reset, or more: the next session is salted with the storage root key as it is then.
  storage_root_.reset();
  stale_ = true;
  return true;
}

void Connection::forget_storage_root() {
  session_.reset();
  storage_root_.reset();
}

}  // namespace devid::tpm
