#include "agent/est/cmc_answer.h"

#include <string>
#include <utility>

#include "agent/est/ascii.h"
#include "agent/est/body.h"
#include "agent/est/certificates_answer.h"
#include "agent/est/media_type.h"
#include "agent/est/refusal.h"

namespace devid::est {
namespace {

/// What the body is, by its media type. Without an smime-type it shows when it is read.
bool is_response(const Answer& answer) {
  const auto type = MediaType::parse(answer.header("content-type"));
  if (!type || type->name != "application/pkcs7-mime") return false;
  const auto kind = type->parameters.find("smime-type");
  return kind == type->parameters.end() || ascii::lower(kind->second) == "cmc-response" || is_certs_only(*type);
}

/// A refusal in the CA's own words where it has signed them; else what the status says.
Error refused(const Answer& answer, Result<pki::CmcAnswer> said) {
  Error error = refusal(answer);
  if (!said && said.error().code == Errc::server_refused) {
    said.error().retry_after = error.retry_after;
    return std::move(said.error());
  }
  error.reason = said ? "the body says that all is well" : said.error().sentence();
  return error;
}

}  // namespace

Result<pki::CmcAnswer> read_full_cmc(const Answer& answer, const pki::CmcRequest& request,
                                     const std::vector<pki::Certificate>& anchors, Time now) {
  const auto read = [&]() -> Result<pki::CmcAnswer> {
    const auto der = decode_body(answer.body);
    if (!der) return fail(der.error());
    return pki::read_cmc_response(*der, request, anchors, now);
  };
  if (answer.status == 200)
    return is_response(answer)
               ? read()
               : fail(wrong_media_type(answer, "does this server take Full PKI Requests (RFC 7030 4.3)?"));
  if (answer.status == 202)
    return pki::CmcAnswer(
        pki::CmcPending{.retry_after = retry_after_of(answer).value_or(Seconds(0)), .text = text_of(answer)});
  if (!is_response(answer) || answer.body.empty()) return fail(refusal(answer));
  return fail(refused(answer, read()));
}

}  // namespace devid::est
