#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "agent/pki/certificate.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "tokens/openssl/signing_key.h"

namespace devid::pki {

/// Who signs a Full PKI Request: the certificate of the device and its key.
struct CmcSigner {
  const Certificate& certificate;
  const std::vector<Certificate>& chain;
  SigningKey& key;
};

/// A Full PKI Request (RFC 5272 3.2, 6.1): a CMS SignedData, DER, of the content type id-cct-PKIData, with the PKCS#10
/// request (DER) as its one TaggedRequest, a transaction identifier and a sender nonce, signed by the device's current
/// credential.
struct CmcRequest {
  Bytes der;
  std::string transaction;  ///< decimal
  Bytes nonce;              ///< 16 octets
};
Result<CmcRequest> make_cmc_request(BytesView csr, const CmcSigner& signer);

/// The CA has issued.
struct CmcIssued {
  std::vector<Certificate> certificates;
};
/// The CA needs time (pendInfo); 0 s: it did not say how much.
struct CmcPending {
  Seconds retry_after{0};
  std::string text;  ///< escaped
};
using CmcAnswer = std::variant<CmcIssued, CmcPending>;

/// Reads a Full PKI Response (RFC 5272 3.2.2), DER: a SignedData of id-cct-PKIResponse; or a certs-only message (4.1),
/// which a CA may send when all is well. The signature must verify by a certificate that leads to `anchors`. The
/// recipient nonce and transaction must be those of the request. CMCStatusInfo and CMCStatusInfoV2 are understood.
/// Errors: server_refused with the status, failInfo and text of the CA; answer_malformed; certificate_untrusted.
Result<CmcAnswer> read_cmc_response(BytesView der, const CmcRequest& request, const std::vector<Certificate>& anchors,
                                    Time now);

}  // namespace devid::pki
