#include "tokens/tpm/session.h"

namespace devid::tpm {

namespace {

TPMA_SESSION attributes_for(Encrypt encrypt) {
  switch (encrypt) {
    case Encrypt::nothing: return 0;
    case Encrypt::command: return TPMA_SESSION_DECRYPT;
    case Encrypt::command_and_response: return TPMA_SESSION_DECRYPT | TPMA_SESSION_ENCRYPT;
  }
  return 0;
}

}  // namespace

Result<Session> Session::start(Context& context, ESYS_TR storage_key) {
  return start(context, storage_key, TPM2_SE_HMAC, TPM2_ALG_SHA256);
}

Result<Session> Session::start_policy(Context& context, ESYS_TR storage_key, TPMI_ALG_HASH hash) {
  return start(context, storage_key, TPM2_SE_POLICY, hash);
}

Result<Session> Session::start(Context& context, ESYS_TR storage_key, TPM2_SE type, TPMI_ALG_HASH hash) {
  const TPMT_SYM_DEF symmetric{.algorithm = TPM2_ALG_AES, .keyBits = {.aes = 128}, .mode = {.aes = TPM2_ALG_CFB}};
  ESYS_TR tr = ESYS_TR_NONE;
  const Call start = context.call("Esys_StartAuthSession", [&](ESYS_CONTEXT* esys) {
    return Esys_StartAuthSession(esys, storage_key, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, ESYS_TR_NONE, nullptr,
                                 type, &symmetric, hash, &tr);
  });
  if (!start.ok()) return fail(to_error(start));
  return Session(context, tr);
}

Session::~Session() {
  if (tr_ != ESYS_TR_NONE) context_->flush(tr_);
}

ESYS_TR Session::for_command(Encrypt encrypt) {
  return with_attributes(TPMA_SESSION_CONTINUESESSION | attributes_for(encrypt));
}

ESYS_TR Session::for_last_command(Encrypt encrypt) { return with_attributes(attributes_for(encrypt)); }

ESYS_TR Session::with_attributes(TPMA_SESSION attributes) {
  constexpr TPMA_SESSION all = 0xFF;
  const Call set = context_->call("Esys_TRSess_SetAttributes", [&](ESYS_CONTEXT* esys) {
    return Esys_TRSess_SetAttributes(esys, tr_, attributes, all);
  });
  // It fails for a wrong ESYS_TR only; then ESYS_TR_NONE makes the command itself fail.
  return set.ok() ? tr_ : ESYS_TR_NONE;
}

bool Session::is_ours() {
  const ESYS_TR encrypting = with_attributes(TPMA_SESSION_CONTINUESESSION | TPMA_SESSION_ENCRYPT);
  TPM2B_DIGEST* raw = nullptr;
  const Call get = context_->call("Esys_GetRandom", [&](ESYS_CONTEXT* esys) {
    return Esys_GetRandom(esys, encrypting, ESYS_TR_NONE, ESYS_TR_NONE, 1, &raw);
  });
  const Esys<TPM2B_DIGEST> random(raw);
  return get.ok() || (!is_auth_failure(get.rc) && !is_missing_session(get.rc));
}

void Session::abandon() {
  context_->release(tr_);
  context_->close(std::exchange(tr_, ESYS_TR_NONE));
}

}  // namespace devid::tpm
