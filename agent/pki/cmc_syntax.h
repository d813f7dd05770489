#pragma once

#include <openssl/asn1.h>
#include <openssl/safestack.h>
#include <openssl/x509.h>

#include <memory>

#include "base/bytes.h"

namespace devid::pki::cmc {

// The syntax of CMC that devid uses (RFC 5272 3.2, 6.1; implicit tags), as OpenSSL's ASN.1 templates. What may differ
// in form, or is not used, is ANY.

// TaggedAttribute ::= SEQUENCE { bodyPartID INTEGER, attrType OBJECT IDENTIFIER, attrValues SET OF ANY }
struct TaggedAttribute {
  ASN1_INTEGER* id;
  ASN1_OBJECT* type;
  STACK_OF(ASN1_TYPE) * values;
};

// TaggedCertificationRequest ::= SEQUENCE { bodyPartID INTEGER, certificationRequest CertificationRequest }
struct TaggedCertificationRequest {
  ASN1_INTEGER* id;
  X509_REQ* request;
};
// TaggedRequest ::= CHOICE { tcr [0] TaggedCertificationRequest, … }
struct TaggedRequest {
  int type;  ///< 0
  union {
    TaggedCertificationRequest* pkcs10;
  } value;
};

// NOLINTBEGIN: OpenSSL's macros
DEFINE_STACK_OF(TaggedAttribute)
DEFINE_STACK_OF(TaggedRequest)
// NOLINTEND

// PKIData ::= SEQUENCE { controlSequence SEQUENCE OF TaggedAttribute, reqSequence SEQUENCE OF TaggedRequest,
//   cmsSequence SEQUENCE OF ANY, otherMsgSequence SEQUENCE OF ANY }
struct PkiData {
  STACK_OF(TaggedAttribute) * controls;
  STACK_OF(TaggedRequest) * requests;
  STACK_OF(ASN1_TYPE) * messages;
  STACK_OF(ASN1_TYPE) * others;
};

// PKIResponse ::= SEQUENCE { controlSequence SEQUENCE OF TaggedAttribute, cmsSequence SEQUENCE OF ANY,
//   otherMsgSequence SEQUENCE OF ANY }
struct PkiResponse {
  STACK_OF(TaggedAttribute) * controls;
  STACK_OF(ASN1_TYPE) * messages;
  STACK_OF(ASN1_TYPE) * others;
};

// CMCStatusInfo ::= SEQUENCE { cMCStatus INTEGER, bodyList SEQUENCE OF INTEGER, statusString UTF8String OPTIONAL,
//   otherInfo CHOICE { failInfo INTEGER, pendInfo PendInfo } OPTIONAL }
// CMCStatusInfoV2 is the same but for two CHOICEs: a bodyPartPath in the list, and extendedFailInfo [1] at the end.
struct StatusInfo {
  ASN1_INTEGER* status;
  STACK_OF(ASN1_TYPE) * bodies;
  ASN1_UTF8STRING* text;
  ASN1_TYPE* other;
};

// PendInfo ::= SEQUENCE { pendToken OCTET STRING, pendTime GeneralizedTime }
struct PendInfo {
  ASN1_OCTET_STRING* token;
  ASN1_GENERALIZEDTIME* time;
};

struct FreeItem {
  void operator()(TaggedAttribute* item) const noexcept;
  void operator()(TaggedRequest* item) const noexcept;
  void operator()(PkiData* item) const noexcept;
  void operator()(PkiResponse* item) const noexcept;
  void operator()(StatusInfo* item) const noexcept;
  void operator()(PendInfo* item) const noexcept;
};
template <class T>
using Item = std::unique_ptr<T, FreeItem>;

/// New and empty; null without memory.
Item<TaggedAttribute> new_attribute();
Item<TaggedRequest> new_request();
Item<PkiData> new_data();

/// DER; empty if it cannot be encoded.
Bytes encode(const PkiData& data);

/// All of `der`; null for what is none, or does not fill it.
Item<PkiResponse> parse_response(BytesView der);
Item<StatusInfo> parse_status(BytesView der);
Item<PendInfo> parse_pending(BytesView der);

}  // namespace devid::pki::cmc
