#include "tokens/tpm/tpm_key.h"

#include <utility>

#include "tokens/tpm/location.h"
#include "tokens/tpm/pcr.h"
#include "tokens/tpm/public_area.h"
#include "tokens/tpm/signature.h"

namespace devid::tpm {
namespace {

/// A key whose file has a policy is used with that, and with nothing else.
Result<PublicKey> bound_key_in(const TPM2B_PUBLIC& area, BytesView policy) {
  if (auto usable = require_signing_kind(area.publicArea); !usable) return fail(std::move(usable.error()));
  const auto statement = parse_statement(policy);
  if (!statement) return fail(statement.error());
  const TPM2B_DIGEST digest = policy_digest(*statement, area.publicArea.nameAlg);
  const TPM2B_DIGEST& wanted = area.publicArea.authPolicy;
  if (digest.size == 0 || to_bytes(digest.buffer, digest.size) != to_bytes(wanted.buffer, wanted.size)) {
    return fail({.code = Errc::token_wrong_key,
                 .retry = Retry::after_operator,
                 .what = "the PCR policy in the key file is not that of the key"});
  }
  return public_key_from(area.publicArea);
}

Result<PublicKey> signing_key_in(const TPM2B_PUBLIC& area) {
  if (auto usable = require_signing_key(area.publicArea); !usable) return fail(std::move(usable.error()));
  return public_key_from(area.publicArea);
}

}  // namespace

Result<std::unique_ptr<PrivateKey>> TpmKey::from_blob(Tpm& tpm, KeyBlob blob, std::string pem) {
  const auto area = parse_public(blob.public_area);
  if (!area) return fail(area.error());
  auto key = blob.pcr_policy ? bound_key_in(*area, *blob.pcr_policy) : signing_key_in(*area);
  if (!key) return fail(std::move(key.error()));
  return std::unique_ptr<PrivateKey>(new TpmKey(tpm, std::move(blob), *area, std::move(*key), std::move(pem)));
}

Result<std::unique_ptr<PrivateKey>> TpmKey::from_handle(Tpm& tpm, TPM2_HANDLE handle, const TPM2B_PUBLIC& area) {
  auto key = signing_key_in(area);
  if (!key) return fail(std::move(key.error()));
  return std::unique_ptr<PrivateKey>(new TpmKey(tpm, handle, area, std::move(*key), {}));
}

Result<std::unique_ptr<PrivateKey>> TpmKey::from_template(Tpm& tpm, DerivedKey key, const TPM2B_PUBLIC& area) {
  auto public_key = signing_key_in(area);
  if (!public_key) return fail(std::move(public_key.error()));
  return std::unique_ptr<PrivateKey>(new TpmKey(tpm, std::move(key), area, std::move(*public_key), {}));
}

TpmKey::TpmKey(Tpm& tpm, Place place, const TPM2B_PUBLIC& area, PublicKey public_key, std::string pem)
    : tpm_(tpm), place_(std::move(place)), area_(area), public_key_(std::move(public_key)), pem_(std::move(pem)) {
  if (const auto* blob = std::get_if<KeyBlob>(&place_)) tpm_.opened(*blob);
  if (const auto* derived = std::get_if<DerivedKey>(&place_)) tpm_.opened(*derived);
}

TpmKey::~TpmKey() {
  if (const auto* blob = std::get_if<KeyBlob>(&place_)) tpm_.closed(*blob);
  if (const auto* derived = std::get_if<DerivedKey>(&place_)) tpm_.closed(*derived);
}

Result<Bytes> TpmKey::sign(BytesView digest, SignatureScheme scheme) {
  if (digest.size() != digest_size(scheme.digest)) {
    return fail({.code = Errc::usage,
                 .retry = Retry::never,
                 .what = "the digest to sign has " + std::to_string(digest.size()) + " bytes, not " +
                         std::to_string(digest_size(scheme.digest))});
  }
  const auto tpm_scheme = scheme_for(area_.publicArea, scheme);
  if (!tpm_scheme) return fail(tpm_scheme.error());
  const SignRequest request{.digest = digest, .scheme = *tpm_scheme};
  const auto signature = tpm_.run([&](Connection& connection) {
    if (const auto* blob = std::get_if<KeyBlob>(&place_)) return connection.sign(*blob, request);
    if (const auto* derived = std::get_if<DerivedKey>(&place_)) return connection.sign(*derived, area_, request);
    return connection.sign_at(std::get<TPM2_HANDLE>(place_), area_, request);
  });
  if (!signature) {
    std::string which = std::holds_alternative<DerivedKey>(place_) ? "the key of the template" : "the key";
    if (const auto* handle = std::get_if<TPM2_HANDLE>(&place_)) which = "the key at " + handle_location(*handle);
    return fail(while_doing("sign with " + which, signature.error()));
  }
  auto bytes = signature_bytes(*signature, public_key_.algorithm);
  if (!bytes) return bytes;
  if (auto checked = check_signature(public_key_, digest, scheme, *bytes); !checked) {
    return fail(std::move(checked.error()));
  }
  return bytes;
}

}  // namespace devid::tpm
