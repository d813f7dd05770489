#pragma once

#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "base/secret.h"
#include "tokens/token.h"

namespace devid {

/// The numbers of an EC key, big-endian, each as long as the curve's order.
struct EcNumbers {
  Bytes x;
  Bytes y;
  Secret scalar;
};

/// The numbers of an RSA key (RFC 8017 3.2), big-endian: the modulus and d as long as the key, the others half of that.
/// The public exponent is 65537.
struct RsaNumbers {
  Bytes modulus;
  Secret private_exponent;
  Secret prime_1;
  Secret prime_2;
  Secret exponent_1;
  Secret exponent_2;
  Secret coefficient;
};

/// A private key that was made elsewhere, on its way into a token. All that is secret of it is wiped when it goes.
struct OutsideKey {
  PublicKey public_key;
  std::variant<EcNumbers, RsaNumbers> numbers;
  Secret private_key_info;  ///< DER PrivateKeyInfo (RFC 5208), without attributes and public key
};

/// Reads a DER PrivateKeyInfo or OneAsymmetricKey (RFC 5208 5, RFC 5958 2) with an ECPrivateKey (RFC 5915) or an
/// RSAPrivateKey (RFC 8017 A.1.2) in it. Untrusted: 16 KiB at most, DER without anything after it, numbers that fit
/// each other. Every copy that OpenSSL makes on the way is wiped.
/// Error: usage if it is no private key of that algorithm.
Result<OutsideKey> read_outside_key(KeyAlgorithm algorithm, const Secret& pkcs8);

/// What shows that a token has taken over the right key: it is the one that was given, and signs as such.
/// Errors: those of PrivateKey::sign(); token_wrong_key.
Result<> check_taken_over(PrivateKey& key, const PublicKey& expected);

}  // namespace devid
