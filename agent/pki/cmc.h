#pragma once

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
  const std::vector<Certificate>& chain;  ///< the intermediates, which go with the request
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
/// Costs one signature. What will be sent has been verified by the certificate, in software. Errors: those of
/// PrivateKey::sign; token_wrong_key if the key is not the certificate's; usage for what is no PKCS#10 request.
Result<CmcRequest> make_cmc_request(BytesView csr, const CmcSigner& signer);

/// The CA has issued.
struct CmcIssued {
  std::vector<Certificate> certificates;  ///< all that the message holds: the new one, and those of CAs and signers
};
/// The CA needs time (pendInfo); 0 s: it did not say how much.
struct CmcPending {
  Seconds retry_after{0};  ///< at most 30 days
  std::string text;        ///< escaped
};
using CmcAnswer = std::variant<CmcIssued, CmcPending>;

/// Reads a Full PKI Response (RFC 5272 3.2.2), DER, 256 KiB at most: a SignedData of id-cct-PKIResponse; or a
/// certs-only message (4.1), which a CA may send when all is well. Each signature must hold, with SHA-256 or better,
/// and be that of a certificate that leads to `anchors` and may speak for the CA: a CA itself, or one with id-kp-cmcCA
/// or id-kp-cmcRA (RFC 6402 2.10). The recipient nonce must be that of the request, and so must the transaction, if it
/// is there; a refusal may lack both. CMCStatusInfo and CMCStatusInfoV2 are understood; without any of them,
/// certificates mean success. Errors: server_refused with the status, failInfo and text of the CA; answer_malformed;
/// certificate_untrusted and certificate_not_valid_now for a signer.
Result<CmcAnswer> read_cmc_response(BytesView der, const CmcRequest& request, const std::vector<Certificate>& anchors,
                                    Time now);

}  // namespace devid::pki
