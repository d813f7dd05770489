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
Error refused(Error error, Result<pki::CmcAnswer> said) {
  if (!said && said.error().code == Errc::server_refused) {
    said.error().retry_after = error.retry_after;
    return std::move(said.error());
  }
  error.reason = said ? "the body says that all is well" : said.error().sentence();
  return error;
}

/// What the CA has signed says when to come again, and why; else HTTP does.
pki::CmcAnswer waiting(const Answer& answer, pki::CmcPending pending) {
  if (pending.retry_after == Seconds(0)) pending.retry_after = retry_after_of(answer).value_or(Seconds(0));
  if (pending.text.empty()) pending.text = text_of(answer);
  return pending;
}

}  // namespace

Result<pki::CmcAnswer> read_full_cmc(const Answer& answer, const pki::CmcRequest& request,
                                     const std::vector<pki::Certificate>& anchors, Time now,
                                     const Introduction& introduction) {
  const auto read = [&]() -> Result<pki::CmcAnswer> {
    const auto der = decode_body(answer.body);
    if (!der) return fail(der.error());
    return pki::read_cmc_response(*der, request, anchors, now);
  };
  const bool waits = answer.status == 202;
  const bool has_response = is_response(answer) && !answer.body.empty();
  if (answer.status == 200 && !is_response(answer))
    return fail(wrong_media_type(answer, "does this server take Full PKI Requests (RFC 7030 4.3)?"));
  if (waits && !has_response) return waiting(answer, {});
  if (answer.status != 200 && !has_response) return fail(refusal(answer, introduction));
  auto said = read();
  if (answer.status != 200 && !waits) return fail(refused(refusal(answer, introduction), std::move(said)));
  if (auto* pending = said ? std::get_if<pki::CmcPending>(&*said) : nullptr)
    return waiting(answer, std::move(*pending));
  const bool denied = !said && said.error().code == Errc::server_refused;
  return waits && !denied ? Result<pki::CmcAnswer>(waiting(answer, {})) : std::move(said);
}

}  // namespace devid::est
