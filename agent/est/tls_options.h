#pragma once

#include <openssl/ssl.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace devid::est {

/// What an operator may demand of TLS. Empty lists are OpenSSL's own.
struct TlsOptions {
  enum class Version { tls_1_2, tls_1_3 };
  Version minimum = Version::tls_1_2;
  std::string cipher_list;    ///< of TLS 1.2, as openssl-ciphers(1) has it
  std::string cipher_suites;  ///< of TLS 1.3: "TLS_AES_256_GCM_SHA384:…"
  std::string groups;         ///< "P-384:X25519"
  bool fips = false;          ///< only algorithms of OpenSSL's FIPS provider
  bool operator==(const TlsOptions&) const = default;
};

/// Whether this OpenSSL can do that. Error: config_invalid, with the list that is wrong, or saying that there is no
/// FIPS provider.
Result<> check(const TlsOptions& options);

/// Puts it into a context; 112 bits of security (no RSA below 2048, no SHA-1) are the least whatever a list says. With
/// `fips` it has to be within a FipsMode, as all that the context does later.
Result<> apply(const TlsOptions& options, SSL_CTX* context);

/// While it lives, OpenSSL fetches algorithms from the FIPS provider alone. Keys of a token are not concerned: they
/// are in a library context of their own. It is a property of the process: one thread at a time.
class FipsMode {
 public:
  /// Loads the FIPS provider, for as long as the process lives, and turns the mode on. Error: config_invalid.
  static Result<FipsMode> enter();
  FipsMode(const FipsMode&) = delete;
  FipsMode& operator=(const FipsMode&) = delete;
  FipsMode(FipsMode&& other) noexcept;
  FipsMode& operator=(FipsMode&&) = delete;
  ~FipsMode();

 private:
  FipsMode() = default;
  bool is_on_ = true;
};

}  // namespace devid::est
