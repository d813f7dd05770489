#pragma once

#include <vector>

#include "agent/est/http.h"
#include "agent/pki/certificate.h"
#include "agent/pki/server_key.h"
#include "base/result.h"
#include "base/secret.h"

namespace devid::est {

/// What /serverkeygen gives (RFC 7030 4.4.2, RFC 8951 3.3): a key, still as it came, and the certificate for it.
struct GeneratedKey {
  pki::ServerKeyForm form = pki::ServerKeyForm::plain;
  Secret key;  ///< DER, for pki::read_server_key()
  std::vector<pki::Certificate> certificates;
};

/// Reads an answer of /serverkeygen: multipart/mixed, one part application/pkcs8, or application/pkcs7-mime with the
/// smime-type server-generated-key, and one of certificates, in either order. Parts of other types are passed over.
/// Errors: those of refusal() for
/// another status than 200; server_protocol for another media type; answer_malformed.
Result<GeneratedKey> read_server_keygen(const Answer& answer);

}  // namespace devid::est
