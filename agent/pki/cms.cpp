#include "agent/pki/cms.h"

#include <openssl/cms.h>
#include <openssl/err.h>

namespace devid::pki {
namespace {

using Message = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;
using Stack = Owned<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }>;

constexpr int limit = 64;
constexpr std::size_t shown_name = 200;  ///< bytes of a subject in a remark
constexpr std::string_view hint =
    "see the EST server's log: it must send a certs-only CMS message (RFC 7030 4.1.3, 4.2.3)";

Error malformed(std::string_view reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read the certificates in the server's answer",
          .reason = std::string(reason),
          .hint = std::string(hint)};
}

/// What makes a SignedData certs-only: nobody has signed, and there is nothing to sign.
Result<> check_certs_only(CMS_ContentInfo* message) {
  if (OBJ_obj2nid(CMS_get0_type(message)) != NID_pkcs7_signed) return fail(malformed("it is no CMS SignedData"));
  if (sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(message)) > 0)
    return fail(malformed("the CMS message has signers, so it is not certs-only"));
  ASN1_OCTET_STRING** const content = CMS_get0_content(message);
  if (content != nullptr && *content != nullptr && ASN1_STRING_length(*content) > 0)
    return fail(malformed("the CMS message has content, so it is not certs-only"));
  return {};
}

/// The certificates of a message that holds them and nothing else.
Result<Stack> certificates_of(BytesView der) {
  ERR_clear_error();
  const unsigned char* position = as_uchar(der);
  const unsigned char* const end = position + der.size();
  const Message message(d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(der.size())));
  if (!message) {
    Error error =
        openssl_error(Errc::answer_malformed, Retry::later, "cannot read the certificates in the server's answer");
    error.hint = hint;
    return fail(std::move(error));
  }
  if (position != end) return fail(malformed(std::to_string(end - position) + " bytes follow the CMS message"));
  if (auto checked = check_certs_only(message.get()); !checked) return fail(std::move(checked.error()));

  Stack stack(CMS_get1_certs(message.get()));
  const int count = sk_X509_num(stack.get());
  ERR_clear_error();
  if (count <= 0) return fail(malformed("the CMS message holds no certificate"));
  if (count > limit)
    return fail(malformed("the CMS message holds more than " + std::to_string(limit) + " certificates"));
  return stack;
}

Result<Certificate> strictly(X509* certificate) {
  return Certificate::from_der(Certificate::from_x509(certificate).der());
}

}  // namespace

Result<std::vector<Certificate>> read_certs_only(BytesView der) {
  const auto stack = certificates_of(der);
  if (!stack) return fail(stack.error());
  std::vector<Certificate> certificates;
  for (int i = 0; i < sk_X509_num(stack->get()); ++i) {
    auto certificate = strictly(sk_X509_value(stack->get(), i));
    if (!certificate) return fail(malformed(certificate.error().sentence()));
    certificates.push_back(std::move(*certificate));
  }
  return certificates;
}

Result<OfferedCertificates> read_ca_certificates(BytesView der) {
  const auto stack = certificates_of(der);
  if (!stack) return fail(stack.error());
  OfferedCertificates offered;
  for (int i = 0; i < sk_X509_num(stack->get()); ++i) {
    X509* const each = sk_X509_value(stack->get(), i);
    auto certificate = strictly(each);
    if (certificate) {
      offered.certificates.push_back(std::move(*certificate));
    } else {
      offered.remarks.push_back(printable(Certificate::from_x509(each).subject(), shown_name) + ": " +
                                certificate.error().sentence());
    }
  }
  if (offered.certificates.empty())
    return fail(malformed("none of its certificates can be read: " + offered.remarks[0]));
  return offered;
}

}  // namespace devid::pki
