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

namespace {

Result<Bytes> certs_only_of(const Answer& answer) {
  const auto type = MediaType::parse(answer.header("content-type"));
  if (!type || !is_certs_only(*type)) return fail(wrong_media_type(answer));
  return decode_body(answer.body);
}

}  // namespace

Result<std::vector<pki::Certificate>> read_certificates(const Answer& answer) {
  const auto der = certs_only_of(answer);
  if (!der) return fail(der.error());
  return pki::read_certs_only(*der);
}

Result<std::vector<pki::Certificate>> read_ca_certificates(const Answer& answer,
                                                           const std::function<void(const std::string&)>& on_remark) {
  const auto der = certs_only_of(answer);
  if (!der) return fail(der.error());
  auto read = pki::read_ca_certificates(*der);
  if (!read) return fail(std::move(read.error()));
  if (on_remark)
    for (const std::string& remark : read->remarks) on_remark(remark);
  return std::move(read->certificates);
}

}  // namespace devid::est
