#include "agent/est/server_keygen_answer.h"

#include <optional>
#include <string>
#include <utility>

#include "agent/est/ascii.h"
#include "agent/est/body.h"
#include "agent/est/certificates_answer.h"
#include "agent/est/multipart.h"
#include "agent/est/refusal.h"
#include "agent/pki/cms.h"

namespace devid::est {
namespace {

constexpr std::string_view multipart = "multipart/mixed";
constexpr std::string_view plain_key = "application/pkcs8";
constexpr std::string_view cms = "application/pkcs7-mime";

Error malformed(std::string reason) {
  return {.code = Errc::answer_malformed,
          .retry = Retry::later,
          .what = "cannot read the server's answer with the key that it made",
          .reason = std::move(reason),
          .hint = "see the EST server's log: it must send a key and a certificate (RFC 7030 4.4.2)"};
}

/// How the key in a part comes, if the part is one with a key.
std::optional<pki::ServerKeyForm> key_form(const MediaType& type) {
  if (type.name == plain_key) return pki::ServerKeyForm::plain;
  const auto kind = type.parameters.find("smime-type");
  if (type.name == cms && kind != type.parameters.end() && ascii::lower(kind->second) == "server-generated-key")
    return pki::ServerKeyForm::enveloped;
  return std::nullopt;
}

Result<Secret> read_key(const Part& part) {
  auto der = decode_body(part.body);
  if (!der) return fail(while_doing("read the part with the key", std::move(der.error())));
  Secret key(*der);
  wipe(*der);
  if (key.empty()) return fail(malformed("the part with the key is empty"));
  return key;
}

Result<std::vector<pki::Certificate>> read_certificates(const Part& part) {
  const auto der = decode_body(part.body);
  if (!der) return fail(while_doing("read the part with the certificate", der.error()));
  return pki::read_certs_only(*der);
}

/// The one part of each kind.
struct Parts {
  const Part* key = nullptr;
  const Part* certificates = nullptr;
  pki::ServerKeyForm form = pki::ServerKeyForm::plain;
};

Result<Parts> sort(const std::vector<Part>& parts) {
  Parts found;
  for (const Part& part : parts) {
    if (const auto form = key_form(part.type)) {
      if (found.key != nullptr) return fail(malformed("it has more than one part with a key"));
      found.key = &part;
      found.form = *form;
    } else if (is_certs_only(part.type)) {
      if (found.certificates != nullptr) return fail(malformed("it has more than one part with certificates"));
      found.certificates = &part;
    }
  }
  if (found.key == nullptr) return fail(malformed("it has no part with a key"));
  if (found.certificates == nullptr) return fail(malformed("it has no part with a certificate"));
  return found;
}

}  // namespace

Result<GeneratedKey> read_server_keygen(const Answer& answer) {
  if (answer.status != 200) return fail(refusal(answer));
  const auto type = MediaType::parse(answer.header("content-type"));
  if (!type || type->name != multipart)
    return fail(wrong_media_type(answer, "does this server make keys (RFC 7030 4.4)?"));
  const auto parts = split_multipart(answer.body, *type);
  if (!parts) return fail(parts.error());
  const auto found = sort(*parts);
  if (!found) return fail(found.error());
  auto certificates = read_certificates(*found->certificates);
  if (!certificates) return fail(std::move(certificates.error()));
  auto key = read_key(*found->key);
  if (!key) return fail(std::move(key.error()));
  return GeneratedKey{.form = found->form, .key = std::move(*key), .certificates = std::move(*certificates)};
}

}  // namespace devid::est
