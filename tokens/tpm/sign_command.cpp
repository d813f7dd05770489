#include "tokens/tpm/sign_command.h"

#include <algorithm>
#include <span>

namespace devid::tpm {

Call send_sign(Context& context, ESYS_TR key, ESYS_TR session, const SignRequest& request,
               Esys<TPMT_SIGNATURE>& signature) {
  TPM2B_DIGEST value{.size = static_cast<UINT16>(request.digest.size())};
  std::ranges::copy(request.digest, std::as_writable_bytes(std::span(value.buffer)).begin());
  // The digest was not made by the TPM: no ticket. Unrestricted keys need none.
  const TPMT_TK_HASHCHECK no_ticket{.tag = TPM2_ST_HASHCHECK, .hierarchy = TPM2_RH_NULL};
  TPMT_SIGNATURE* raw = nullptr;
  const Call sign = context.call("Esys_Sign", [&](ESYS_CONTEXT* esys) {
    return Esys_Sign(esys, key, session, ESYS_TR_NONE, ESYS_TR_NONE, &value, &request.scheme, &no_ticket, &raw);
  });
  signature.reset(raw);
  return sign;
}

}  // namespace devid::tpm
