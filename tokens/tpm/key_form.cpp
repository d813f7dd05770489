#include "tokens/tpm/key_form.h"

#include <utility>
#include <variant>

#include "tokens/tpm/auth_value.h"
#include "tokens/tpm/key_template.h"
#include "tokens/tpm/pcr.h"

namespace devid::tpm {
namespace {

struct Authorize {
  Context& context;
  const TpmSpec& spec;
  KeyAlgorithm algorithm;

  Result<KeyForm> operator()(const NoAuthorization& /*none*/) const {
    return KeyForm{.area = signing_key_template(algorithm)};
  }

  Result<KeyForm> operator()(const AuthValue& /*value*/) const {
    if (!spec.key_auth) {
      return fail({.code = Errc::config_invalid,
                   .retry = Retry::after_operator,
                   .what = "the key shall have an auth value, and none is configured",
                   .hint = "name a systemd credential or a file in key_auth of [tpm] in devid.toml"});
    }
    // TPM 2.0 Part 1, 27.5.3: not longer than a digest of the object's Name.
    auto value = read_or_make_auth_value(*spec.key_auth, digest_size(digest_for(algorithm)));
    if (!value) return fail(std::move(value.error()));
    KeyForm form{.area = signing_key_template(algorithm), .auth_value = std::move(*value)};
    if (form.auth_value.size() < full_entropy) form.area.publicArea.objectAttributes &= ~TPMA_OBJECT_NODA;
    return form;
  }

  Result<KeyForm> operator()(const PcrPolicy& policy) const {
    KeyForm form{.area = signing_key_template(algorithm)};
    TPMT_PUBLIC& area = form.area.publicArea;
    const auto statement = read_pcrs(context, policy, area.nameAlg);
    if (!statement) return fail(statement.error());
    auto written = write_statement(*statement);
    if (!written) return fail(std::move(written.error()));
    form.pcr_policy = std::move(*written);
    area.authPolicy = policy_digest(*statement, area.nameAlg);
    // The policy alone signs. adminWithPolicy stays clear: it would keep the key from ever being certified.
    area.objectAttributes &= ~TPMA_OBJECT_USERWITHAUTH;
    return form;
  }
};

}  // namespace

Result<KeyForm> form_of(Context& context, const TpmSpec& spec, KeyAlgorithm algorithm,
                        const KeyAuthorization& authorization) {
  return std::visit(Authorize{.context = context, .spec = spec, .algorithm = algorithm}, authorization);
}

}  // namespace devid::tpm
