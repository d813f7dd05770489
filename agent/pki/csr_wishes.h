#pragma once

#include <openssl/x509.h>

#include <string>
#include <vector>

#include "agent/pki/csr_attributes.h"

namespace devid::pki {

/// What is wrong with CsrAttrs. Error: answer_malformed.
Error malformed_attributes(std::string reason);

/// Adds a text for people to a list that a server must not make grow without bound: after the sixteenth, one text says
/// that there are more.
void add_bounded(std::vector<std::string>& list, std::string text);

/// What the elements of CsrAttrs mean, collected one by one. What it does not understand it lists as ignored.
class CsrWishes {
 public:
  /// An element that is only an OID: a kind of key, a curve, a digest, a signature algorithm, or an attribute to fill.
  void want(const ASN1_OBJECT* oid);
  /// An element with values, other than a template or a request for extensions.
  void want(X509_ATTRIBUTE* attribute);
  /// A kind of key with its parameter: a curve, an RSA size, NULL, or none (null).
  void want_key(const ASN1_OBJECT* kind, const ASN1_TYPE* parameter);
  /// An RSA key of so many bits; 0 for a size that makes no sense.
  void want_rsa(std::size_t bits);
  /// An id-ExtensionReq, or an extension request template, in which extensions need no value. Error: answer_malformed.
  Result<> want_extensions(X509_ATTRIBUTE* attribute, bool is_template);
  void want_subject(std::vector<SubjectAttributeTemplate> subject) { wanted_.subject = std::move(subject); }
  void ignore(std::string text) { add_bounded(wanted_.ignored, std::move(text)); }

  CsrAttributes take();

 private:
  void add_key(std::vector<KeyTemplate>& to, KeyTemplate key);
  void want_curve(const ASN1_OBJECT* curve, const std::string& kind);
  void want_digest(int nid);
  bool take_fact(const ASN1_OBJECT* oid);
  bool take_algorithm(const ASN1_OBJECT* oid);
  void want_valueless_extension(const ASN1_OBJECT* oid);

  CsrAttributes wanted_;
  std::vector<KeyTemplate> signers_;  ///< what the signature algorithms say of the key
  bool names_curve_ = false;
};

}  // namespace devid::pki
