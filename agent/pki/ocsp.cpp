#include "agent/pki/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>

#include <algorithm>
#include <array>

namespace devid::pki {
namespace {

using Request = Owned<OCSP_REQUEST, OCSP_REQUEST_free>;
using Response = Owned<OCSP_RESPONSE, OCSP_RESPONSE_free>;
using Basic = Owned<OCSP_BASICRESP, OCSP_BASICRESP_free>;
using CertId = Owned<OCSP_CERTID, OCSP_CERTID_free>;
using Store = Owned<X509_STORE, X509_STORE_free>;
using Stack = Owned<STACK_OF(X509), [](STACK_OF(X509) * stack) { sk_X509_free(stack); }>;  ///< of borrowed certificates

constexpr int security_level = 2;  ///< 112 bits, as for every chain
constexpr std::string_view cannot_read = "cannot read an OCSP response";

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = std::string(cannot_read),
          .reason = std::move(reason)};
}

Result<Basic> parse(BytesView der) {
  if (der.size() > longest_ocsp_response)
    return fail(malformed("it is longer than " + std::to_string(longest_ocsp_response) + " bytes"));
  const unsigned char* position = as_uchar(der);
  const unsigned char* const end = position + der.size();
  const Response response(d2i_OCSP_RESPONSE(nullptr, &position, static_cast<long>(der.size())));
  if (!response) return fail(openssl_error(Errc::answer_malformed, Retry::later, cannot_read));
  if (position != end) return fail(malformed(std::to_string(end - position) + " bytes follow the OCSP response"));
  const int status = OCSP_response_status(response.get());
  if (status != OCSP_RESPONSE_STATUS_SUCCESSFUL)
    return fail(unusable_statement(std::string("the responder answers: ") + OCSP_response_status_str(status)));
  Basic basic(OCSP_response_get1_basic(response.get()));
  if (!basic) return fail(openssl_error(Errc::answer_malformed, Retry::later, cannot_read));
  return basic;
}

/// OpenSSL's own word, with the issuer as the only anchor: the signature, and that the issuer has made or authorised
/// it.
Result<> verify(OCSP_BASICRESP* basic, const RevocationQuestion& question) {
  if (auto strong = check_digest(OCSP_resp_get0_tbs_sigalg(basic)); !strong) return strong;
  const Store store(X509_STORE_new());
  const Stack issuer(sk_X509_new_null());
  if (!store || !issuer || X509_STORE_add_cert(store.get(), question.issuer.get()) != 1 ||
      sk_X509_push(issuer.get(), question.issuer.get()) == 0)
    return fail(openssl_error(Errc::internal, Retry::later, "cannot verify an OCSP response"));
  X509_VERIFY_PARAM* const parameters = X509_STORE_get0_param(store.get());
  X509_VERIFY_PARAM_set_flags(parameters, X509_V_FLAG_PARTIAL_CHAIN);
  X509_VERIFY_PARAM_set_time(parameters, question.now.time_since_epoch().count());
  X509_VERIFY_PARAM_set_auth_level(parameters, security_level);
  if (OCSP_basic_verify(basic, issuer.get(), store.get(), OCSP_PARTIAL_CHAIN | OCSP_NOEXPLICIT) == 1) return {};
  return fail(unusable_statement("it is not by the certificate's issuer: " + openssl_reason()));
}

/// Responders answer with the digest of whoever asked them; a stapled response is for another one's request.
bool is_about(const OCSP_SINGLERESP* single, const RevocationQuestion& question) {
  constexpr std::array digests = {NID_sha1, NID_sha256, NID_sha384, NID_sha512};
  const OCSP_CERTID* const id = OCSP_SINGLERESP_get0_id(single);
  ASN1_OBJECT* digest = nullptr;
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): it only reads
  if (OCSP_id_get0_info(nullptr, &digest, nullptr, nullptr, const_cast<OCSP_CERTID*>(id)) != 1) return false;
  const int nid = OBJ_obj2nid(digest);
  if (std::ranges::find(digests, nid) == digests.end()) return false;
  const CertId wanted(OCSP_cert_to_id(EVP_get_digestbynid(nid), question.subject.get(), question.issuer.get()));
  return wanted && OCSP_id_cmp(wanted.get(), id) == 0;
}

OCSP_SINGLERESP* find(OCSP_BASICRESP* basic, const RevocationQuestion& question) {
  for (int i = 0; i < OCSP_resp_count(basic); ++i)
    if (OCSP_SINGLERESP* const single = OCSP_resp_get0(basic, i); is_about(single, question)) return single;
  return nullptr;
}

/// RFC 6960 4.4: whoever does not know a critical extension does not use what it is in.
Result<> check_extensions(OCSP_BASICRESP* basic, OCSP_SINGLERESP* single) {
  constexpr std::array known = {NID_id_pkix_OCSP_Nonce};
  for (int i = 0; i < OCSP_BASICRESP_get_ext_count(basic); ++i)
    if (auto checked = check_critical(OCSP_BASICRESP_get_ext(basic, i), known); !checked) return checked;
  for (int i = 0; i < OCSP_SINGLERESP_get_ext_count(single); ++i)
    if (auto checked = check_critical(OCSP_SINGLERESP_get_ext(single, i), {}); !checked) return checked;
  return {};
}

}  // namespace

Result<Bytes> make_ocsp_request(const Certificate& subject, const Certificate& issuer) {
  ERR_clear_error();
  const Request request(OCSP_REQUEST_new());
  CertId id(OCSP_cert_to_id(EVP_sha1(), subject.get(), issuer.get()));
  const bool complete = request && id && OCSP_request_add0_id(request.get(), id.get()) != nullptr;
  if (complete) static_cast<void>(id.release());  // the request's now
  unsigned char* data = nullptr;
  const int size = complete ? i2d_OCSP_REQUEST(request.get(), &data) : -1;
  if (size <= 0) return fail(openssl_error(Errc::internal, Retry::later, "cannot make an OCSP request"));
  Bytes der = to_bytes(data, static_cast<std::size_t>(size));
  OPENSSL_free(data);
  return der;
}

Result<RevocationStatement> read_ocsp_response(BytesView der, const RevocationQuestion& question) {
  ERR_clear_error();
  const auto basic = parse(der);
  if (!basic) return fail(basic.error());
  if (auto verified = verify(basic->get(), question); !verified) return fail(std::move(verified.error()));
  OCSP_SINGLERESP* const single = find(basic->get(), question);
  if (single == nullptr) return fail(unusable_statement("it is about another certificate"));
  if (auto checked = check_extensions(basic->get(), single); !checked) return fail(std::move(checked.error()));

  int reason = -1;
  ASN1_GENERALIZEDTIME* since = nullptr;
  ASN1_GENERALIZEDTIME* this_update = nullptr;
  ASN1_GENERALIZEDTIME* next_update = nullptr;
  const int status = OCSP_single_get0_status(single, &reason, &since, &this_update, &next_update);
  const auto until = valid_until(this_update, next_update, question.now);
  if (!until) return fail(until.error());
  switch (status) {
    case V_OCSP_CERTSTATUS_GOOD: return RevocationStatement{.until = *until};
    case V_OCSP_CERTSTATUS_REVOKED:
      return RevocationStatement{.revoked = true,
                                 .on_hold = reason == CRL_REASON_CERTIFICATE_HOLD,
                                 .detail = revocation_detail(since, reason),
                                 .until = *until};
    default: return fail(unusable_statement("the responder does not know the certificate"));
  }
}

}  // namespace devid::pki
