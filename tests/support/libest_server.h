#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "tests/support/background.h"
#include "tests/support/temporary_directory.h"
#include "tests/support/test_pki.h"

namespace devid::test {

/// Who may enroll at libest's server: whoever has the password, with or without a certificate that it trusts; whoever
/// has either; or the latter alone.
enum class LibestClient { has_password, has_certificate_or_password, has_certificate };

enum class LibestPassword { basic, digest };

/// How libest's server behaves.
struct LibestHabits {
  LibestClient client = LibestClient::has_certificate_or_password;
  LibestPassword password = LibestPassword::basic;
  std::optional<unsigned> approval_after;     ///< a request waits until it comes again; the Retry-After, seconds
  std::optional<std::string> csr_attributes;  ///< base64 of DER; without it, four OIDs of libest's own
  bool own_csr_attributes = false;            ///< those four OIDs: a P-384 key and SHA-384 among them
  bool demands_csr_attributes = false;        ///< refuses a request that lacks one of them
  bool demands_proof_of_possession = false;   ///< the channel binding, in each request
  std::vector<std::filesystem::path> crls;    ///< of every CA of its clients: it looks into them for revoked ones
};

/// Where its certificates and keys are. Files are PEM.
struct LibestPki {
  TestCredential server;                       ///< only the certificate itself is taken
  TestCredential issuer;                       ///< of the certificates that clients obtain
  std::vector<std::filesystem::path> cas;      ///< what /cacerts answers
  std::vector<std::filesystem::path> trusted;  ///< whose certificates are clients', what completes its own chain
};

/// estserver of libest, an EST server that is not ours, as tests/interop/fetch-libest brings it. It binds every
/// address: the process must have called leave_the_network_of_others(). TLS 1.2 and HTTP/1.0, one request a connection.
/// Throws std::runtime_error if it does not start.
class LibestServer {
 public:
  /// At `port`, or at one that is free.
  explicit LibestServer(const LibestPki& pki, const LibestHabits& habits = {}, std::uint16_t port = 0);

  /// The only user that it knows.
  static constexpr const char* user = "estuser";
  static constexpr const char* password = "estpwd";
  static constexpr const char* realm = "devices";

  /// "libest 3.2.0".
  static std::string name();

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// "https://127.0.0.1:PORT".
  [[nodiscard]] std::string url() const { return "https://127.0.0.1:" + std::to_string(port_); }
  /// Its requests in order: "GET cacerts", "POST simpleenroll 401". It has no status for what went well.
  [[nodiscard]] std::vector<std::string> requests() const;
  /// How many certificates it has issued.
  [[nodiscard]] std::size_t issued() const;
  [[nodiscard]] std::string log() const;

 private:
  TemporaryDirectory directory_;
  std::uint16_t port_;
  BackgroundProcess process_;
};

}  // namespace devid::test
