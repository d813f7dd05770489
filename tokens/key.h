#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace devid {

/// The kinds of key that devid makes and uses.
enum class KeyAlgorithm { ec_p256, ec_p384, rsa_2048, rsa_3072 };

/// As configuration and D-Bus write it: "ec-p256", "ec-p384", "rsa-2048", "rsa-3072".
std::string_view algorithm_name(KeyAlgorithm algorithm);
std::optional<KeyAlgorithm> algorithm_from_name(std::string_view name);
bool is_rsa(KeyAlgorithm algorithm);

enum class Digest { sha256, sha384, sha512 };
/// The length of a digest in bytes: 32, 48, 64.
std::size_t digest_size(Digest digest);
/// The digest that fits the strength of a key: SHA-384 for P-384, SHA-256 for the others.
Digest digest_for(KeyAlgorithm algorithm);

enum class Padding {
  none,       ///< ECDSA
  rsa_pkcs1,  ///< RSASSA-PKCS1-v1_5 with the DigestInfo of the digest (RFC 8017 8.2)
  rsa_pss,    ///< RSASSA-PSS, MGF1 with the same digest, salt as long as the digest (RFC 8017 8.1, RFC 8446 4.2.3)
};

/// How a digest is signed.
struct SignatureScheme {
  Digest digest = Digest::sha256;
  Padding padding = Padding::none;
};

/// The public half of a key. `spki` is a DER SubjectPublicKeyInfo (RFC 5280 4.1): uncompressed point for EC,
/// rsaEncryption for RSA.
struct PublicKey {
  KeyAlgorithm algorithm = KeyAlgorithm::ec_p256;
  Bytes spki;

  bool operator==(const PublicKey& other) const = default;
};

}  // namespace devid
