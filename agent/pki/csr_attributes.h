#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tokens/key.h"

namespace devid::pki {

/// An extension that the CA wants to find in a request. Without a value the client chooses it (RFC 9908 3.3, 3.4).
struct ExtensionTemplate {
  std::string oid;  ///< dotted
  bool critical = false;
  std::optional<Bytes> value;  ///< the DER within extnValue
  bool operator==(const ExtensionTemplate&) const = default;
};

/// One attribute of a subject that the CA wants to find. Without a value the client chooses it (RFC 9908 3.4).
struct SubjectAttributeTemplate {
  std::string oid;                   ///< dotted
  std::optional<std::string> value;  ///< UTF-8
  bool operator==(const SubjectAttributeTemplate&) const = default;
};

/// A kind of key that the CA wants, as it names it: "id-ecPublicKey prime256v1", "rsaEncryption 2048".
struct KeyTemplate {
  std::string text;                      ///< for people, escaped
  std::vector<KeyAlgorithm> algorithms;  ///< those of ours that fit: all RSA sizes if it names none; maybe none
  bool operator==(const KeyTemplate&) const = default;
};

/// What a CA wants to find in a request: the content of CsrAttrs (RFC 7030 4.5.2, RFC 8951 4, RFC 9908 3).
struct CsrAttributes {
  bool challenge_password = false;  ///< asks for proof of possession linked to TLS (RFC 7030 3.5)
  std::vector<KeyTemplate> keys;  ///< any of them will do; empty: any key. If only signature algorithms say it, theirs
  std::vector<Digest> digests;    ///< for the request's signature: any of them will do, each once; empty: any digest
  std::optional<std::vector<SubjectAttributeTemplate>> subject;  ///< of a template; most significant first
  std::vector<ExtensionTemplate> extensions;
  /// OIDs of attributes that the client is to fill from what it knows: serialNumber 2.5.4.5, macAddress
  /// 1.3.6.1.1.1.1.22, the Hotspot 2.0 device attributes. Dotted, each once.
  std::vector<std::string> facts;
  /// What is not understood, for people, escaped; never an error (RFC 8951 4). Of many, sixteen and a word about the
  /// others.
  std::vector<std::string> ignored;
  bool operator==(const CsrAttributes&) const = default;
};

/// Reads CsrAttrs, DER. Empty octets are no wishes, nor is an empty SEQUENCE. If the certification request information
/// template is there, the other elements have no say (RFC 9908 4). An id-ExtensionReq that holds OIDs, as in the
/// example of RFC 7030 4.5.2, names facts, or extensions without a value. Error: answer_malformed, for what is not
/// CsrAttrs or not DER (but for the order of a SET), for trailing bytes, more than 64 KiB, more than one
/// id-ExtensionReq or template, an extension twice, a template of an unknown version, a subject whose text is not what
/// its type says.
Result<CsrAttributes> read_csr_attributes(BytesView der);

}  // namespace devid::pki
