#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/est/http.h"
#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::est {

/// What the certificates of /cacerts and of the enrollments come in.
constexpr std::string_view certs_only_type = "application/pkcs7-mime";

/// The certificates of an answer, in the order in which they came (RFC 7030 4.1.3, 4.2.3). Errors: server_protocol for
/// another media type, answer_malformed.
Result<std::vector<pki::Certificate>> read_certificates(const Answer& answer);

/// The same of /cacerts, where a certificate that cannot be read is passed over: `on_remark` (may be empty) is told
/// which, and why. Errors: likewise; answer_malformed if none can be read.
Result<std::vector<pki::Certificate>> read_ca_certificates(
    const Answer& answer, const std::function<void(const std::string&)>& on_remark = {});

/// An answer whose media type is not the one that was hoped for: names what came.
Error wrong_media_type(const Answer& answer, std::string_view hint = "is this the URL of an EST server?");

}  // namespace devid::est
