#pragma once

#include <optional>
#include <string_view>

#include "base/bytes.h"
#include "tests/support/est_issuer.h"
#include "tests/support/est_misbehaviour.h"

namespace devid::test {

inline void free_certificates(STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }

/// A Full PKI Request (RFC 5272 3.2), taken apart by OpenSSL alone.
struct CmcMessage {
  Request request;
  Bytes transaction;  ///< DER of the control's value
  Bytes nonce;        ///< likewise
  X509Cert signer;
  Owned<STACK_OF(X509), free_certificates> certificates;
};

/// None if it is not one, or if a signature does not hold: of the message, or of the PKCS#10 request in it. Whom the
/// signer is trusted by is not asked.
std::optional<CmcMessage> read_cmc_message(BytesView der);

/// A Full PKI Response by the issuer, DER: success with the certificate, or failed with badIdentity, or pending for an
/// hour.
Bytes cmc_response(const CmcMessage& message, CmcOutcome outcome, const EstIssuer& issuer, X509* certificate);

}  // namespace devid::test
