#include "agent/pki/cmc.h"

#include <openssl/cms.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <utility>

#include "agent/pki/chain.h"
#include "agent/pki/cmc_status.h"
#include "agent/pki/cms.h"

namespace devid::pki {
namespace {

using Message = Owned<CMS_ContentInfo, CMS_ContentInfo_free>;
using Stack = Owned<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_pop_free(stack, X509_free); }>;
using BorrowedStack = Owned<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }>;
using Usages = Owned<EXTENDED_KEY_USAGE, EXTENDED_KEY_USAGE_free>;

constexpr std::size_t largest = 262144;
constexpr int most_certificates = 64;
constexpr int most_signers = 8;
constexpr int shortest_digest = 32;  // SHA-256
constexpr Seconds longest_wait = std::chrono::hours(24 * 30);

Error malformed(std::string reason) {
  ERR_clear_error();
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read the Full PKI Response",
          .reason = std::move(reason),
          .hint = "see the EST server's log: it must send a Full PKI Response (RFC 5272 3.2.2)"};
}

Error untrusted(std::string reason) {
  return {.code = Errc::certificate_untrusted,
          .retry = Retry::later,
          .what = "the Full PKI Response is not signed by the CA",
          .reason = std::move(reason),
          .hint =
              "compare the configured trust anchors with the CA that signs, and see that its certificate is for "
              "that (RFC 6402 2.10)"};
}

Result<std::vector<Certificate>> certificates_of(CMS_ContentInfo* message) {
  const Stack stack(CMS_get1_certs(message));
  ERR_clear_error();
  const int count = std::max(sk_X509_num(stack.get()), 0);
  if (count > most_certificates)
    return fail(malformed("it holds more than " + std::to_string(most_certificates) + " certificates"));
  std::vector<Certificate> certificates;
  certificates.reserve(static_cast<std::size_t>(count));
  for (int i = 0; i < count; ++i) {
    auto certificate = Certificate::from_der(Certificate::from_x509(sk_X509_value(stack.get(), i)).der());
    if (!certificate) return fail(malformed(certificate.error().sentence()));
    certificates.push_back(std::move(*certificate));
  }
  return certificates;
}

/// Any certificate below the anchors could sign, and those of other devices must not: whoever is no CA needs the word
/// of one that this is what its certificate is for. To be for anything, or to say nothing, is not enough.
bool may_speak_for_ca(const Certificate& signer) {
  if (X509_check_ca(signer.get()) == 1) return true;
  const Usages usages(
      // NOLINTNEXTLINE(cppcoreguidelines-pro-type-static-cast-downcast): the type that the NID stands for
      static_cast<EXTENDED_KEY_USAGE*>(X509_get_ext_d2i(signer.get(), NID_ext_key_usage, nullptr, nullptr)));
  ERR_clear_error();
  for (int i = 0; usages && i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
    const int usage = OBJ_obj2nid(sk_ASN1_OBJECT_value(usages.get(), i));
    if (usage == NID_cmcCA || usage == NID_cmcRA) return true;
  }
  return false;
}

bool has_weak_digest(CMS_SignerInfo* signer) {
  X509_ALGOR* digest = nullptr;
  CMS_SignerInfo_get0_algs(signer, nullptr, nullptr, &digest, nullptr);
  const ASN1_OBJECT* object = nullptr;
  X509_ALGOR_get0(&object, nullptr, nullptr, digest);
  const EVP_MD* const known = EVP_get_digestbyobj(object);
  return known == nullptr || EVP_MD_get_size(known) < shortest_digest;
}

Result<> check_signatures(CMS_ContentInfo* message) {
  auto* const signers = CMS_get0_SignerInfos(message);
  const int count = sk_CMS_SignerInfo_num(signers);
  if (count > most_signers) return fail(malformed("it has more than " + std::to_string(most_signers) + " signers"));
  for (int i = 0; i < count; ++i)
    if (has_weak_digest(sk_CMS_SignerInfo_value(signers, i)))
      return fail(malformed("it is signed with a digest that is too weak"));
  if (CMS_verify(message, nullptr, nullptr, nullptr, nullptr, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) == 1) return {};
  return fail(malformed("its signature does not hold: " + openssl_reason()));
}

Result<> check_signers(CMS_ContentInfo* message, const std::vector<Certificate>& pool,
                       const std::vector<Certificate>& anchors, Time now) {
  const BorrowedStack signers(CMS_get0_signers(message));
  if (sk_X509_num(signers.get()) < 1) return fail(untrusted("it names no signer"));
  for (int i = 0; i < sk_X509_num(signers.get()); ++i) {
    const Certificate signer = Certificate::from_x509(sk_X509_value(signers.get(), i));
    if (auto chain = build_chain(signer, pool, anchors, now); !chain)
      return fail(while_doing("trust the signer of the Full PKI Response", std::move(chain.error())));
    if (!may_speak_for_ca(signer))
      return fail(untrusted(signer.subject() +
                            " is no CA, and may not speak for one: its certificate is not for cmcCA or cmcRA"));
  }
  return {};
}

Result<cmc::Controls> controls_of(CMS_ContentInfo* message) {
  ASN1_OCTET_STRING** const content = CMS_get0_content(message);
  if (content == nullptr || *content == nullptr) return fail(malformed("it has no content"));
  const auto response = cmc::parse_response(std::as_bytes(
      std::span(ASN1_STRING_get0_data(*content), static_cast<std::size_t>(ASN1_STRING_length(*content)))));
  if (!response) return fail(malformed(openssl_reason()));
  return cmc::read_controls(*response);
}

/// Whether this is the answer to that request. What is refused may have been refused before it was read.
Result<> check_belonging(const cmc::Controls& controls, const CmcRequest& request, bool refused) {
  if (controls.recipient_nonce ? *controls.recipient_nonce != request.nonce : !refused)
    return fail(malformed("it is the answer to another request: its recipient nonce is not ours"));
  if (controls.transaction && *controls.transaction != request.transaction)
    return fail(malformed("it is the answer to another request: its transaction is not ours"));
  return {};
}

Error refusal(const cmc::StatusReport& report) {
  return {.code = Errc::server_refused,
          .retry = report.passes ? Retry::later : Retry::after_operator,
          .what = "the CA refuses the Full PKI Request",
          .reason = cmc::sentence(report),
          .hint = "the CA's log says what it does not like about the request"};
}

CmcPending waiting(const cmc::StatusReport& report, Time now) {
  CmcPending pending{.retry_after = Seconds(0), .text = report.text};
  if (report.pend_until) pending.retry_after = std::clamp<Seconds>(*report.pend_until - now, Seconds(1), longest_wait);
  return pending;
}

Result<CmcAnswer> interpret(const cmc::Controls& controls, const CmcRequest& request,
                            std::vector<Certificate> certificates, Time now) {
  using cmc::Status;
  const auto& statuses = controls.statuses;
  const auto refused = std::ranges::find_if(statuses, [](const cmc::StatusReport& report) {
    return report.status != Status::success && report.status != Status::pending;
  });
  if (auto checked = check_belonging(controls, request, refused != statuses.end()); !checked)
    return fail(std::move(checked.error()));
  if (refused != statuses.end()) return fail(refusal(*refused));
  const auto pending = std::ranges::find(statuses, Status::pending, &cmc::StatusReport::status);
  if (pending != statuses.end()) return CmcAnswer(waiting(*pending, now));
  if (certificates.empty()) return fail(malformed("it says that all is well, and holds no certificate"));
  return CmcAnswer(CmcIssued{.certificates = std::move(certificates)});
}

}  // namespace

Result<CmcAnswer> read_cmc_response(BytesView der, const CmcRequest& request, const std::vector<Certificate>& anchors,
                                    Time now) {
  ERR_clear_error();
  if (der.size() > largest) return fail(malformed("it is longer than " + std::to_string(largest) + " bytes"));
  const unsigned char* position = as_uchar(der);
  const Message message(d2i_CMS_ContentInfo(nullptr, &position, static_cast<long>(der.size())));
  if (!message) return fail(malformed(openssl_reason()));
  if (position != as_uchar(der) + der.size()) return fail(malformed("something follows it"));
  if (OBJ_obj2nid(CMS_get0_type(message.get())) != NID_pkcs7_signed) return fail(malformed("it is no CMS SignedData"));
  if (sk_CMS_SignerInfo_num(CMS_get0_SignerInfos(message.get())) < 1) {
    auto certificates = read_certs_only(der);
    if (!certificates) return fail(std::move(certificates.error()));
    return CmcAnswer(CmcIssued{.certificates = std::move(*certificates)});
  }
  if (OBJ_obj2nid(CMS_get0_eContentType(message.get())) != NID_id_cct_PKIResponse)
    return fail(malformed("its content is no PKIResponse"));
  auto certificates = certificates_of(message.get());
  if (!certificates) return fail(std::move(certificates.error()));
  if (auto checked = check_signatures(message.get()); !checked) return fail(std::move(checked.error()));
  if (auto checked = check_signers(message.get(), *certificates, anchors, now); !checked)
    return fail(std::move(checked.error()));
  const auto controls = controls_of(message.get());
  if (!controls) return fail(controls.error());
  return interpret(*controls, request, std::move(*certificates), now);
}

}  // namespace devid::pki
