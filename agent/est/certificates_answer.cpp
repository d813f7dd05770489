#include "agent/est/certificates_answer.h"

#include "agent/est/body.h"
#include "agent/est/media_type.h"
#include "agent/est/refusal.h"
#include "agent/pki/cms.h"

namespace devid::est {

Error wrong_media_type(const Answer& answer, std::string_view hint) {
  const std::string_view type = answer.header("content-type");
  return {.code = Errc::server_protocol,
          .retry = Retry::after_operator,
          .what = type.empty() ? "the server's answer has no media type"
                               : "the server's answer is of the wrong media type: " + printable(type, 100),
          .reason = type.empty() ? "" : text_of(answer),
          .hint = std::string(hint)};
}

Result<std::vector<pki::Certificate>> read_certificates(const Answer& answer) {
  const auto type = MediaType::parse(answer.header("content-type"));
  if (!type || !is_certs_only(*type)) return fail(wrong_media_type(answer));
  const auto der = decode_body(answer.body);
  if (!der) return fail(der.error());
  return pki::read_certs_only(*der);
}

}  // namespace devid::est
