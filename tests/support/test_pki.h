#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "tests/support/temporary_directory.h"

namespace devid::test {

/// Which key the openssl command makes.
enum class TestKey { ec_p256, ec_p384, rsa_1024, rsa_2048, rsa_3072 };

/// What a certificate shall hold. Texts are as the openssl command and its extension sections take them.
struct CertificateSpec {
  std::string issuer;                                   ///< the name of a CA made before; empty: self-signed
  std::string subject = "/CN=gateway";                  ///< as `openssl req -subj`, UTF-8; "/" is the empty name
  std::vector<std::string> alternative_names;           ///< "DNS:localhost", "IP:127.0.0.1", "otherName:1.2.3.4;UTF8:x"
  std::string basic_constraints = "critical,CA:FALSE";  ///< empty: no such extension, as with the next two
  std::string key_usage = "critical,digitalSignature";
  std::string extended_key_usage = "clientAuth";
  std::vector<std::string> more_extensions;  ///< lines: "1.2.3.4=critical,DER:0500"
  std::optional<Time> not_before;            ///< an hour ago
  std::optional<Time> not_after;             ///< ten years from now
  TestKey key = TestKey::ec_p256;
  std::string public_key;                ///< PEM: the certificate is for this key, and no key is made. It begins
                                         ///< now and lasts whole days
  std::string string_mask = "utf8only";  ///< string types of the subject: "utf8only", "pkix", "nombstr"
  std::string digest = "sha256";
};

/// A certificate and its key, as files and as PEM.
struct TestCredential {
  std::filesystem::path certificate;
  std::filesystem::path key;         ///< PKCS#8 PEM; empty if the certificate is for a given public key
  std::filesystem::path chain;       ///< the intermediates, nearest first, without the root; maybe an empty file
  std::filesystem::path full_chain;  ///< certificate and chain, as a TLS server wants it
  std::string certificate_pem;
  std::string chain_pem;
};

/// Certification authorities and what they issue, in a temporary directory, all made by the openssl command and never
/// by devid's own code. A failure throws std::runtime_error with what openssl said.
class TestPki {
 public:
  TestPki();

  /// Makes a CA with an EC P-256 key: "/CN=NAME" as its subject, self-signed or below `issuer`.
  TestCredential make_ca(const std::string& name, const std::string& issuer = {});
  /// The same with everything else as `spec` says: a CA that is expired, or has no basicConstraints.
  TestCredential make_ca(const std::string& name, const CertificateSpec& spec);
  /// What make_ca's `spec` is by default.
  static CertificateSpec ca_spec(const std::string& name, const std::string& issuer = {});

  /// Issues an end-entity certificate.
  TestCredential issue(const CertificateSpec& spec);
  /// A TLS server's certificate for localhost, an IPv4 address and ::1.
  TestCredential issue_server(const std::string& issuer, const std::string& address = "127.0.0.1");
  /// A certificate for the key and the names of a PKCS#10 request (PEM); the rest as `spec` says.
  TestCredential sign_request(const std::string& csr_pem, const CertificateSpec& spec);

  /// A CA made before.
  [[nodiscard]] const TestCredential& ca(const std::string& name) const;

  /// A certs-only CMS message, DER, by `openssl crl2pkcs7`.
  [[nodiscard]] std::string certs_only(const std::vector<std::string>& certificate_pems) const;

  [[nodiscard]] const std::filesystem::path& directory() const { return directory_.path(); }

 private:
  struct Ca {
    std::string name;
    bool is_root;
    TestCredential credential;
  };
  [[nodiscard]] bool is_root(const std::string& name) const;
  std::filesystem::path new_directory(const std::string& prefix);
  TestCredential sign(const std::filesystem::path& place, const CertificateSpec& spec);
  TestCredential sign_public_key(const std::filesystem::path& place, const CertificateSpec& spec);
  TestCredential read(const std::filesystem::path& place, const CertificateSpec& spec) const;

  TemporaryDirectory directory_;
  std::vector<Ca> cas_;
  unsigned made_ = 0;
};

/// The DER of a PEM object, by `openssl base64`; the PEM of an EC or RSA public key given as DER.
std::string pem_to_der(const std::string& pem);
std::string public_key_pem(const std::string& spki_der);

/// A certs-only CMS message, DER, of so many certificates: one that openssl has issued (PEM), each time with another
/// end of its signature.
std::string certs_only_of_many(const std::string& certificate_pem, unsigned count);

/// The public key (PEM) of a certificate (PEM).
std::string public_key_of_certificate(const std::string& certificate_pem);

/// Makes a key: PKCS#8 PEM in `file`.
void make_key(const std::filesystem::path& file, TestKey key);

}  // namespace devid::test
