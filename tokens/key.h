#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/bytes.h"

namespace devid {

/// The kinds of key that devid makes and uses.
enum class KeyAlgorithm { ec_p256, ec_p384, ec_p521, rsa_2048, rsa_3072, rsa_4096 };

/// Every one of them, in that order.
std::span<const KeyAlgorithm> all_key_algorithms();

/// As configuration and D-Bus write it: "ec-p256", "ec-p384", "ec-p521", "rsa-2048", "rsa-3072", "rsa-4096".
std::string_view algorithm_name(KeyAlgorithm algorithm);
std::optional<KeyAlgorithm> algorithm_from_name(std::string_view name);
bool is_rsa(KeyAlgorithm algorithm);
/// The size in bits: of the curve's field and order (256, 384, 521), or of the modulus.
std::size_t key_bits(KeyAlgorithm algorithm);
/// The same in whole bytes: of each half of a raw r‖s and of a coordinate (32, 48, 66), or of an RSA signature.
std::size_t key_bytes(KeyAlgorithm algorithm);

enum class Digest { sha256, sha384, sha512 };
/// The length of a digest in bytes: 32, 48, 64.
std::size_t digest_size(Digest digest);
/// The digest that fits the strength of a key: SHA-384 for P-384, SHA-512 for P-521, SHA-256 for the others.
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
