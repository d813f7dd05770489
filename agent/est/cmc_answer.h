#pragma once

#include <string_view>
#include <vector>

#include "agent/est/http.h"
#include "agent/est/introduction.h"
#include "agent/pki/cmc.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::est {

/// What a Full PKI Request is sent as, and which answer is expected (RFC 7030 4.3.1).
inline constexpr std::string_view cmc_request_type = "application/pkcs7-mime; smime-type=CMC-request";
inline constexpr std::string_view cmc_response_type = "application/pkcs7-mime";

/// Reads an answer of /fullcmc (RFC 7030 4.3.2): under status 200 a Full PKI Response, or certificates only; under
/// another status a Full PKI Response that says why, or a text; under 202 the wish to be asked again. A CA that needs
/// time says how much in pendInfo (RFC 5272 6.1.3), else in Retry-After, else not at all: pending it is in any case. No
/// Query Pending (6.5.3) is sent then, but the request anew, as EST has it. The rest as pki::read_cmc_response() has
/// it. A status that is no success is never taken for one, whatever the body says. Errors: those of read_cmc_response()
/// and of refusal(); server_protocol for another media type.
Result<pki::CmcAnswer> read_full_cmc(const Answer& answer, const pki::CmcRequest& request,
                                     const std::vector<pki::Certificate>& anchors, Time now,
                                     const Introduction& introduction = {});

}  // namespace devid::est
