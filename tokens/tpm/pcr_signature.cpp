#include "tokens/tpm/pcr_signature.h"

#include "tokens/tpm/session.h"

namespace devid::tpm {
namespace {

/// Whatever is measured counts, for other registers, too: a booting device extends them all the time.
constexpr int most_attempts = 5;

Call send_policy(Context& context, ESYS_TR session, const PcrStatement& statement) {
  return context.call("Esys_PolicyPCR", [&](ESYS_CONTEXT* esys) {
    return Esys_PolicyPCR(esys, session, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, &statement.digest,
                          &statement.selection);
  });
}

bool is_another_value(TSS2_RC rc) {
  const TSS2_RC code = base_code(rc);
  return code == TPM2_RC_VALUE || code == TPM2_RC_PCR || code == TPM2_RC_PCR_CHANGED || code == TPM2_RC_POLICY_FAIL;
}

Error refused(const Call& call, const PcrStatement& statement) {
  Error error = to_error(call);
  if (!is_another_value(call.rc)) return error;
  error.code = Errc::token_auth_failed;
  error.retry = Retry::after_operator;
  error.what = describe(statement.selection) + " of the TPM hold other values than when the key was made";
  error.hint =
      "the firmware, the boot loader or what else is measured there has changed: boot again what was there before, or, "
      "if the change was meant, enroll again, so that a key for the new values is made";
  return error;
}

}  // namespace

Result<TPMT_SIGNATURE> sign_under_pcr_policy(Context& context, const PcrBoundKey& key, const SignRequest& request) {
  for (int attempt = 1;; ++attempt) {
    auto session = Session::start_policy(context, key.salt_key, key.name_hash);
    if (!session) return fail(while_doing("start a policy session with the TPM", std::move(session.error())));
    if (const Call policy = send_policy(context, session->tr(), key.statement); !policy.ok()) {
      return fail(refused(policy, key.statement));
    }
    Esys<TPMT_SIGNATURE> signature;
    const Call sign = send_sign(context, key.key, session->for_last_command(Encrypt::command), request, signature);
    if (sign.ok()) {
      session->abandon();  // it ended with the command
      return *signature;
    }
    if (base_code(sign.rc) != TPM2_RC_PCR_CHANGED || attempt == most_attempts) {
      return fail(refused(sign, key.statement));
    }
  }
}

}  // namespace devid::tpm
