#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/openssl.h"
#include "base/result.h"
#include "tokens/key.h"

namespace devid::pki {

/// One X.509 certificate (RFC 5280), parsed and immutable. Texts taken from it are escaped (devid::printable).
class Certificate {
 public:
  /// Parses exactly one DER certificate; trailing bytes are an error. Error: answer_malformed.
  static Result<Certificate> from_der(BytesView der);
  /// Takes a reference to a certificate that OpenSSL holds.
  static Certificate from_x509(X509* borrowed);

  Certificate(const Certificate& other);
  Certificate& operator=(const Certificate& other);
  Certificate(Certificate&&) noexcept = default;
  Certificate& operator=(Certificate&&) noexcept = default;
  ~Certificate() = default;

  [[nodiscard]] X509* get() const { return x509_.get(); }
  [[nodiscard]] Bytes der() const;
  [[nodiscard]] std::string pem() const;
  /// RFC 4514 text, most specific first: "CN=gateway-17,O=Example".
  [[nodiscard]] std::string subject() const;
  [[nodiscard]] std::string issuer() const;
  /// Upper-case hexadecimal without separators.
  [[nodiscard]] std::string serial_number() const;
  /// SHA-256 of the DER, lower-case hexadecimal.
  [[nodiscard]] std::string fingerprint() const;
  [[nodiscard]] Time not_before() const;
  /// 9999-12-31 23:59:59 means "no expiry" (RFC 5280 4.1.2.5).
  [[nodiscard]] Time not_after() const;
  [[nodiscard]] Result<PublicKey> public_key() const;
  /// The first value of subject attribute `nid` (NID_serialNumber, NID_commonName) as UTF-8, unescaped.
  [[nodiscard]] std::optional<std::string> subject_attribute(int nid) const;
  /// "DNS:gw.example", "IP:192.0.2.1", "URI:…", "email:…": what the subjectAltName extension holds.
  [[nodiscard]] std::vector<std::string> alternative_names() const;
  [[nodiscard]] bool is_self_issued() const;
  /// What a person wants to read about it, in several lines, without the public key's digits.
  [[nodiscard]] std::string describe() const;

  bool operator==(const Certificate& other) const;

 private:
  explicit Certificate(X509Cert x509) : x509_(std::move(x509)) {}
  X509Cert x509_;
};

/// All certificates of a PEM text, or the one of a DER text. Other PEM objects are an error, so is an empty file.
/// At most `limit` certificates. Errors: answer_malformed.
Result<std::vector<Certificate>> read_certificates(BytesView pem_or_der, std::size_t limit = 64);

/// The PEM of several certificates, one after the other.
std::string to_pem(const std::vector<Certificate>& certificates);

}  // namespace devid::pki
