#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "tests/support/test_pki.h"

namespace devid::test {

/// How a CRL shall be. Texts are as the extension sections of openssl take them.
struct CrlSpec {
  std::optional<Time> this_update;      ///< now
  std::optional<Time> next_update;      ///< in a day
  std::vector<std::string> extensions;  ///< lines: "issuingDistributionPoint=critical,@idp", "[idp]", "onlyCA=TRUE"
  std::string digest = "sha256";
  std::string key;  ///< a file, if it is not the CA's own
};

/// How an OCSP response shall be. It is of now.
struct OcspSpec {
  TestCredential signer;                            ///< the CA itself if empty
  std::vector<std::string> more = {"-nmin", "60"};  ///< of openssl ocsp: "-badsig", "-resp_no_certs", "-ndays N"
};

/// What one CA of a TestPki has issued and revoked, and what it says of it, by `openssl ca` and `openssl ocsp`. A
/// failure throws std::runtime_error with what openssl said.
class TestRevocation {
 public:
  /// Of a CA that was made before.
  TestRevocation(const TestPki& pki, const std::string& ca);

  /// Without one of these the CA has never seen the certificate: OCSP says "unknown".
  void know(const TestCredential& certificate);
  /// Without a reason there is none in the CRL, which is of version 1 if that is true of all.
  void revoke(const TestCredential& certificate, const std::string& reason = "keyCompromise");
  /// Revokes serial numbers 0x1000000 and up, so many.
  void revoke_many(std::size_t count);

  /// PEM, and DER.
  [[nodiscard]] std::string crl_pem(const CrlSpec& spec = {}) const;
  [[nodiscard]] std::string crl(const CrlSpec& spec = {}) const;

  /// The OCSPResponse (DER) to an OCSPRequest (DER). May be called from another thread.
  [[nodiscard]] std::string ocsp(const std::string& request, const OcspSpec& spec = {}) const;
  /// What openssl itself would ask, DER. `options`: "-sha256", "-nonce".
  [[nodiscard]] std::string ocsp_request(const TestCredential& certificate,
                                         const std::vector<std::string>& options = {"-no_nonce"}) const;

 private:
  void update(const std::vector<std::string>& arguments) const;

  TestCredential ca_;
  TemporaryDirectory directory_;
};

}  // namespace devid::test
