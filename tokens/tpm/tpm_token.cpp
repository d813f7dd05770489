#include "tokens/tpm/tpm_token.h"

#include <utility>

#include "tokens/outside_key.h"
#include "tokens/tpm/idevid_template.h"
#include "tokens/tpm/inventory.h"
#include "tokens/tpm/location.h"
#include "tokens/tpm/nv.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/report.h"
#include "tokens/tpm/tpm.h"
#include "tokens/tpm/tpm_key.h"
#include "tokens/tpm/tss2_pem.h"

namespace devid {
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

Result<std::unique_ptr<PrivateKey>> TpmToken::import_key(const KeySpec& spec, const Secret& pkcs8) {
  const auto given = read_outside_key(spec.algorithm, pkcs8);
  if (!given) return fail(given.error());
  const tpm::Tpm::Use use(state_->tpm);
  const std::string doing = "import an " + std::string(algorithm_name(spec.algorithm)) + " key into the TPM";
  auto blob =
      state_->tpm.run([&](tpm::Connection& connection) { return connection.import_key(*given, spec.authorization); });
  if (!blob) return fail(while_doing(doing, std::move(blob.error())));
  auto pem = tpm::write_tss2_pem(*blob);
  if (!pem) return fail(std::move(pem.error()));
  auto key = tpm::TpmKey::from_blob(state_->tpm, std::move(*blob), std::move(*pem));
  if (!key) return fail(while_doing(doing, std::move(key.error())));
  if (auto same = check_taken_over(**key, given->public_key); !same)
    return fail(while_doing(doing, std::move(same.error())));
  return key;
}

Result<std::unique_ptr<PrivateKey>> TpmToken::open_key(std::string_view pem) {
  auto blob = tpm::read_tss2_pem(pem);
  if (!blob) return fail(std::move(blob.error()));
  return tpm::TpmKey::from_blob(state_->tpm, std::move(*blob), std::string(pem));
}

Result<std::unique_ptr<PrivateKey>> TpmToken::open_key_at(std::string_view location) {
  if (tpm::is_template_location(location)) return derive_key(location);
  const auto handle = tpm::parse_handle(location);
  if (!handle) return fail(handle.error());
  const auto area = state_->tpm.run([&](tpm::Connection& connection) { return connection.read_public(*handle); });
  auto key = area ? tpm::TpmKey::from_handle(state_->tpm, *handle, *area)
                  : Result<std::unique_ptr<PrivateKey>>(fail(area.error()));
  if (!key) return fail(while_doing("open the key at " + tpm::handle_location(*handle), std::move(key.error())));
  return key;
}

Result<std::unique_ptr<PrivateKey>> TpmToken::derive_key(std::string_view location) {
  const auto form = tpm::parse_idevid_template(location);
  if (!form) return fail(form.error());
  auto bytes = tpm::write_public(*form);
  if (!bytes) return fail(std::move(bytes.error()));
  const tpm::Tpm::Use use(state_->tpm);
  const tpm::DerivedKey derived{.form = std::move(*bytes)};
  const auto area = state_->tpm.run([&](tpm::Connection& connection) { return connection.derive(derived); });
  auto key = area ? tpm::TpmKey::from_template(state_->tpm, derived, *area)
                  : Result<std::unique_ptr<PrivateKey>>(fail(area.error()));
  if (key) return key;
  state_->tpm.unload(derived);
  return fail(while_doing("derive the key of " + std::string(location), std::move(key.error())));
}

Result<Bytes> TpmToken::read_certificate(std::string_view location) {
  const auto index = tpm::parse_nv_index(location);
  if (!index) return fail(index.error());
  auto content = state_->tpm.run([&](tpm::Connection& connection) { return tpm::read_nv(connection, *index); });
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
  auto keys = state_->tpm.run(tpm::list_persistent_keys);
  if (!keys) return fail(while_doing("list the keys in the TPM", std::move(keys.error())));
  return keys;
}

Result<std::vector<CertificateListing>> TpmToken::list_certificates() {
  auto certificates = state_->tpm.run(tpm::list_identity_certificates);
  if (!certificates) return fail(while_doing("list the certificates in the TPM", std::move(certificates.error())));
  return certificates;
}

std::vector<std::string> TpmToken::derivable_keys(KeyAlgorithm algorithm) const {
  return tpm::idevid_template_locations(algorithm);
}

Result<> TpmToken::store_certificate(std::string_view /*pem*/, BytesView /*certificate*/) { return {}; }

Result<TokenReport> TpmToken::inspect() {
  auto report = state_->tpm.run([](tpm::Connection& connection) { return tpm::report(connection.context()); });
  if (!report) return fail(while_doing("ask the TPM what it can do", std::move(report.error())));
  return report;
}

}  // namespace devid
