#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/pki/name.h"
#include "agent/pki/request_attribute.h"
#include "tokens/openssl/signing_key.h"

namespace devid::pki {

/// An extension that a certificate is asked to have.
struct RequestedExtension {
  std::string oid;  ///< dotted
  bool critical = false;
  Bytes value;  ///< the DER within extnValue
  bool operator==(const RequestedExtension&) const = default;
};

/// What goes into a PKCS#10 request (RFC 2986).
struct CsrSpec {
  Names names;
  std::optional<std::string> challenge_password;  ///< PKCS#9 challengePassword: the channel binding of RFC 7030 3.5
  // NOLINTBEGIN(readability-redundant-member-init): without it g++ warns of each initializer that leaves one out
  std::optional<Digest> digest = std::nullopt;  ///< of the signature; none: the one that fits the key
  /// A keyUsage or extendedKeyUsage takes the place of devid's own. No subjectAltName: names has what it says.
  std::vector<RequestedExtension> extensions = {};
  std::vector<RequestAttribute> attributes = {};  ///< beside extensionRequest and challengePassword
  // NOLINTEND(readability-redundant-member-init)
  bool critical_alternatives = false;  ///< the alternative names; without a subject they always are
};

/// Makes and signs a certification request. Returns DER. The request's own signature has been verified with the public
/// key, in software: a token that signs wrongly is found here. Asks for keyUsage digitalSignature (critical) and
/// extendedKeyUsage clientAuth by an extensionRequest, unless the spec has its own.
/// Errors: those of PrivateKey::sign, config_invalid for names that cannot be encoded, internal for an OID or a value
/// that is none.
Result<Bytes> make_csr(SigningKey& key, const CsrSpec& spec);

/// The most bytes that make_csr can return for this key and spec: a length that can be announced before the request can
/// be signed. What is not known yet, such as the channel binding, has to be there at its length. It is too large only
/// by what ECDSA signatures are shorter than they may be: rarely more than 4 bytes. Errors: those of make_csr for the
/// spec.
Result<std::size_t> largest_csr(const PublicKey& key, const CsrSpec& spec);

/// Whether a request of make_csr, DER, asks for exactly these names.
bool asks_for(BytesView csr, const Names& names);

/// Whether a request of make_csr, DER, has a challengePassword: it is tied to a connection, which may be gone.
bool has_challenge_password(BytesView csr);

}  // namespace devid::pki
