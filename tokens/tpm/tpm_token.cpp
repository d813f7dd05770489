#include "tokens/tpm/tpm_token.h"

#include <utility>

#include "tokens/tpm/location.h"
#include "tokens/tpm/nv.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/report.h"
#include "tokens/tpm/resource.h"
#include "tokens/tpm/tpm.h"
#include "tokens/tpm/tpm_key.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid {
namespace {

/// What of a listed handle is a key that devid could use; nothing for storage keys, attestation keys and the like.
std::optional<KeyListing> listing_of(TPM2_HANDLE handle, const TPM2B_PUBLIC& area) {
  if (!tpm::require_signing_key(area.publicArea)) return std::nullopt;
  auto key = tpm::public_key_from(area.publicArea);
  if (!key) return std::nullopt;
  return KeyListing{.location = tpm::handle_location(handle), .public_key = std::move(*key)};
}

Result<std::vector<KeyListing>> list_persistent(tpm::Connection& connection) {
  tpm::Context& context = connection.context();
  const auto handles = context.handles_from(TPM2_PERSISTENT_FIRST);
  if (!handles) return fail(handles.error());
  std::vector<KeyListing> keys;
  for (const TPM2_HANDLE handle : *handles) {
    const auto tr = tpm::open_handle(context, handle);
    if (!tr && tr.error().code == Errc::token_no_such_key) continue;  // evicted meanwhile
    if (!tr) return fail(tr.error());
    const tpm::PersistentObject object(context, *tr);
    const auto area = tpm::public_area_of(context, object.tr());
    if (!area) return fail(area.error());
    if (auto listing = listing_of(handle, *area)) keys.push_back(std::move(*listing));
  }
  return keys;
}

}  // namespace

struct TpmToken::State {
  tpm::Tpm tpm;
};

TpmToken::TpmToken(TpmSpec spec) : state_(new State{.tpm = tpm::Tpm(std::move(spec))}) {}

TpmToken::~TpmToken() = default;

TokenDescription TpmToken::description() const {
  return {.name = state_->tpm.spec().name, .kind = "tpm2", .location = state_->tpm.spec().tcti};
}

Result<std::unique_ptr<PrivateKey>> TpmToken::create_key(const KeySpec& spec) {
  const tpm::Tpm::Use use(state_->tpm);
  auto blob = state_->tpm.run(
      [&](tpm::Connection& connection) { return connection.create(spec.algorithm, spec.authorization); });
  const std::string doing = "create an " + std::string(algorithm_name(spec.algorithm)) + " key in the TPM";
  if (!blob) return fail(while_doing(doing, std::move(blob.error())));
  auto pem = tpm::write_tss2_pem(*blob);
  if (!pem) return fail(std::move(pem.error()));
  auto key = tpm::TpmKey::from_blob(state_->tpm, std::move(*blob), std::move(*pem));
  if (key && (*key)->public_key().algorithm != spec.algorithm) {
    return fail({.code = Errc::token_failed, .retry = Retry::later, .what = "the TPM made another kind of key"});
  }
  return key;
}

Result<std::unique_ptr<PrivateKey>> TpmToken::open_key(std::string_view pem) {
  auto blob = tpm::read_tss2_pem(pem);
  if (!blob) return fail(std::move(blob.error()));
  return tpm::TpmKey::from_blob(state_->tpm, std::move(*blob), std::string(pem));
}

Result<std::unique_ptr<PrivateKey>> TpmToken::open_key_at(std::string_view location) {
  const auto handle = tpm::parse_handle(location);
  if (!handle) return fail(handle.error());
  const auto area = state_->tpm.run([&](tpm::Connection& connection) { return connection.read_public(*handle); });
  auto key = area ? tpm::TpmKey::from_handle(state_->tpm, *handle, *area)
                  : Result<std::unique_ptr<PrivateKey>>(fail(area.error()));
  if (!key) return fail(while_doing("open the key at " + tpm::handle_location(*handle), std::move(key.error())));
  return key;
}

Result<Bytes> TpmToken::read_certificate(std::string_view location) {
  const auto index = tpm::parse_nv_index(location);
  if (!index) return fail(index.error());
  auto content =
      state_->tpm.run([&](tpm::Connection& connection) { return tpm::read_nv(connection.context(), *index); });
  if (!content) {
    return fail(while_doing("read the certificate at " + std::string(location), std::move(content.error())));
  }
  return content;
}

Result<> TpmToken::destroy_key(std::string_view pem) {
  const auto blob = tpm::read_tss2_pem(pem);
  if (!blob) return fail(blob.error());
  // The TPM keeps nothing of it: without its file the key is gone.
  state_->tpm.unload(*blob);
  return {};
}

Result<std::vector<KeyListing>> TpmToken::list_keys() {
  auto keys = state_->tpm.run(list_persistent);
  if (!keys) return fail(while_doing("list the keys in the TPM", std::move(keys.error())));
  return keys;
}

Result<std::vector<CertificateListing>> TpmToken::list_certificates() { return std::vector<CertificateListing>(); }

std::vector<std::string> TpmToken::derivable_keys(KeyAlgorithm /*algorithm*/) const { return {}; }

Result<> TpmToken::store_certificate(std::string_view /*pem*/, BytesView /*certificate*/) { return {}; }

Result<TokenReport> TpmToken::inspect() {
  auto report = state_->tpm.run([](tpm::Connection& connection) { return tpm::report(connection.context()); });
  if (!report) return fail(while_doing("ask the TPM what it can do", std::move(report.error())));
  return report;
}

}  // namespace devid
