#pragma once

#include <openssl/x509.h>

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/openssl.h"
#include "tests/support/est_misbehaviour.h"

namespace devid::test {

using Request = Owned<X509_REQ, X509_REQ_free>;

/// Every certificate of a PEM file. Throws std::runtime_error if there is none.
std::vector<X509Cert> load_certificates(const std::filesystem::path& file);
Pkey load_key(const std::filesystem::path& file);

/// The issuing CA of the EST server for tests, on OpenSSL alone: none of devid's own code, lest both err alike.
class EstIssuer {
 public:
  struct Spec {
    std::filesystem::path certificate;  ///< PEM, of the issuing CA
    std::filesystem::path key;          ///< PEM
    Seconds not_before{-60};            ///< from now
    Seconds not_after{86400};           ///< from now
    std::string ocsp = {};              ///< URLs that its certificates name; none if empty
    std::string crl = {};
  };
  explicit EstIssuer(const Spec& spec);

  [[nodiscard]] X509* certificate() const { return certificate_.get(); }

  /// Issues for a request whose signature holds: its subject, and its subjectAltName, keyUsage and extendedKeyUsage.
  [[nodiscard]] X509Cert issue(X509_REQ* request, CertificateFlaw flaw) const;

  /// A CMS SignedData by the CA, DER, with its certificate and these.
  [[nodiscard]] Bytes sign_message(BytesView content, const char* type, const std::vector<X509*>& certificates) const;

 private:
  Spec spec_;
  X509Cert certificate_;
  Pkey key_;
  Pkey other_key_;  ///< of nobody: for wrong_key and wrong_issuer
};

/// A DER or base64 PKCS#10 request. Null if it is none, or its own signature does not hold.
Request read_request(BytesView der);

/// Whether request and certificate have the same subject and the same subjectAltName (RFC 7030 4.2.2).
bool same_names(X509_REQ* request, X509* certificate);

/// A certs-only CMS message (RFC 5652 5), DER.
Bytes certs_only(const std::vector<X509*>& certificates);

std::string subject_text(X509* certificate);
std::string pem_text(X509* certificate);

}  // namespace devid::test
