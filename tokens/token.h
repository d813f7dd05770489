#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "tokens/authorization.h"
#include "tokens/key.h"

namespace devid {

/// What a new key shall be. `label` is for people who look into the token ("devid:gateway:3"); tokens that keep no
/// labels ignore it.
struct KeySpec {
  KeyAlgorithm algorithm = KeyAlgorithm::ec_p256;
  std::string label;
  /// What the key will ask for before it signs. Error of a token that cannot do it: token_unsupported.
  KeyAuthorization authorization;
  /// Told what PrivateKey::pem() will say, before the key is in the token, by tokens that keep their keys themselves:
  /// if the power fails before the caller has written it down, nobody else knows of it. May be called again for another
  /// attempt; what was announced need not come to be. May be empty.
  std::function<void(const std::string& pem)> announce;
};

/// A private key inside a token. The key itself cannot be read, by anyone.
/// A key must not outlive its token. Not thread-safe: call from the worker thread only.
class PrivateKey {
 public:
  PrivateKey() = default;
  PrivateKey(const PrivateKey&) = delete;
  PrivateKey& operator=(const PrivateKey&) = delete;
  PrivateKey(PrivateKey&&) = delete;
  PrivateKey& operator=(PrivateKey&&) = delete;
  virtual ~PrivateKey() = default;

  [[nodiscard]] virtual const PublicKey& public_key() const = 0;

  /// The token's own form of the key, to be kept as token-key.pem: a TSS2 PEM ("-----BEGIN TSS2 PRIVATE KEY-----"), or
  /// a PKCS#11 URI in PEM. It holds nothing that is of use without the token. Empty for a key that is known by a
  /// handle.
  [[nodiscard]] virtual std::string pem() const = 0;

  /// Signs a digest of exactly digest_size(scheme.digest) bytes.
  /// Returns raw r‖s for EC, each as long as the curve's order (64 bytes for P-256, 96 for P-384); for RSA an octet
  /// string as long as the modulus. Never signs with another key than public_key(), also after the token was replaced.
  /// Errors: token_unreachable, token_not_ready, token_locked_out, token_auth_failed, token_no_such_key,
  /// token_wrong_key, token_unsupported (the scheme does not fit the key), usage (the digest has a wrong length).
  virtual Result<Bytes> sign(BytesView digest, SignatureScheme scheme) = 0;
};

/// One key that a token lists. `location` is what Token::open_key_at takes; the error says why devid cannot sign with
/// it (a storage key, a restricted key, another algorithm).
struct KeyListing {
  std::string location;
  Result<PublicKey> public_key;
};

/// One certificate that a token lists. `location` is what Token::read_certificate takes; `content` is as there, or why
/// it cannot be read.
struct CertificateListing {
  std::string location;
  Result<Bytes> content;
};

/// What a token says of itself when it is asked.
struct TokenReport {
  std::string manufacturer;
  std::string model;
  std::string serial_number;
  std::string firmware;
  std::vector<KeyAlgorithm> algorithms;  ///< that it can make keys of
  /// How many more keys it can hold for good. None if it does not say; a key of devid may need no slot (TPM).
  std::optional<std::uint32_t> free_key_slots;
  std::vector<std::string> remarks;  ///< what an operator should know: "one wrong PIN more locks the token"
};

/// What a token says of itself, for people and for ListTokens.
struct TokenDescription {
  std::string name;      ///< "tpm"
  std::string kind;      ///< "tpm2"
  std::string location;  ///< how it is reached: "device:/dev/tpmrm0"
};

/// A place that makes and keeps private keys. Keys never leave it.
/// Not thread-safe: call from the worker thread only.
class Token {
 public:
  Token() = default;
  Token(const Token&) = delete;
  Token& operator=(const Token&) = delete;
  Token(Token&&) = delete;
  Token& operator=(Token&&) = delete;
  virtual ~Token() = default;

  /// The name that profiles use, and how it is reached. Does not touch the hardware.
  [[nodiscard]] virtual TokenDescription description() const = 0;

  /// Creates a key. On any error nothing is left behind in the token.
  virtual Result<std::unique_ptr<PrivateKey>> create_key(const KeySpec& spec) = 0;

  /// Takes a private key that was made elsewhere (EST server-side key generation, RFC 7030 4.4) into the token for
  /// good: afterwards it cannot leave, and is used like one of create_key(). `pkcs8` is a DER PrivateKeyInfo (RFC
  /// 5958). No copy outside of the token outlives the call, but the caller's. On any error nothing is left behind in
  /// the token. Errors: those of create_key(); usage if `pkcs8` is no private key of spec.algorithm; token_unsupported.
  virtual Result<std::unique_ptr<PrivateKey>> import_key(const KeySpec& spec, const Secret& pkcs8) = 0;

  /// Opens a key by what PrivateKey::pem() once returned. The bytes are untrusted: they are checked, and a key of
  /// another token is token_wrong_key, at the latest when it signs. May leave the hardware alone until then.
  virtual Result<std::unique_ptr<PrivateKey>> open_key(std::string_view pem) = 0;

  /// Opens a key that was there before devid: "handle:0x81020000" on a TPM, "pkcs11:id=%01" on an HSM. It must be able
  /// to sign.
  virtual Result<std::unique_ptr<PrivateKey>> open_key_at(std::string_view location) = 0;

  /// Reads a certificate that the manufacturer left in the token: "nv:0x01c90200" on a TPM, "pkcs11:id=%01" on an HSM.
  /// Returns what is stored there, unparsed: DER or PEM, maybe padded; at most 16 KiB.
  virtual Result<Bytes> read_certificate(std::string_view location) = 0;

  /// Destroys a key by what PrivateKey::pem() once returned. A key that is no longer there is no error.
  /// Never destroys a key that devid did not make.
  virtual Result<> destroy_key(std::string_view pem) = 0;

  /// The keys that are in the token for good, in the order of their locations; at most 1,024.
  virtual Result<std::vector<KeyListing>> list_keys() = 0;

  /// The certificates of an end entity that may be in the token, in the order in which they are likely to be the
  /// IDevID's: on a TPM the indices that the TCG gives to IDevID and IAK, as far as they are defined; at most 64.
  virtual Result<std::vector<CertificateListing>> list_certificates() = 0;

  /// Where else a key of this kind may be: locations of keys that are not kept, but derived anew from a template that
  /// the TCG or others have published ("template:H-2/x"), the likeliest first. Touches no hardware.
  [[nodiscard]] virtual std::vector<std::string> derivable_keys(KeyAlgorithm algorithm) const = 0;

  /// Writes a certificate (DER) beside a key that devid made, for other applications to find. Replaces one that devid
  /// wrote there before; destroy_key() takes it away. A token that was not told to do so, or cannot, does nothing.
  virtual Result<> store_certificate(std::string_view pem, BytesView certificate) = 0;

  /// Asks the token what it is and what it can do. Makes no key, and uses no secret that could be wrong.
  virtual Result<TokenReport> inspect() = 0;
};

}  // namespace devid
