#include "tests/support/est_binding.h"

#include <array>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "tests/support/est_answer.h"

namespace devid::test {
namespace {

std::string base64(std::span<const unsigned char> bytes) {
  std::string text = to_base64(std::as_bytes(bytes));
  std::erase(text, '\n');
  return text;
}

}  // namespace

ChannelBindings bindings_of(SSL* ssl) {
  ChannelBindings bindings;
  std::array<unsigned char, 64> finished{};
  // The server's sessions are never resumed, so that the client's Finished is the first.
  const std::size_t size = SSL_get_peer_finished(ssl, finished.data(), finished.size());
  if (SSL_version(ssl) == TLS1_2_VERSION) bindings.unique = base64(std::span(finished).first(size));
  std::array<unsigned char, 32> material{};
  constexpr std::string_view label = "EXPORTER-Channel-Binding";
  if (SSL_export_keying_material(ssl, material.data(), material.size(), label.data(), label.size(), nullptr, 0, 0) == 1)
    bindings.exported = base64(material);
  return bindings;
}

std::string challenge_password(X509_REQ* request) {
  const int at = X509_REQ_get_attr_by_NID(request, NID_pkcs9_challengePassword, -1);
  if (at < 0) return {};
  const ASN1_TYPE* value = X509_ATTRIBUTE_get0_type(X509_REQ_get_attr(request, at), 0);
  if (value == nullptr || (value->type != V_ASN1_UTF8STRING && value->type != V_ASN1_PRINTABLESTRING)) return {};
  const ASN1_STRING* text = value->value.asn1_string;
  return std::string(as_text(
      std::as_bytes(std::span(ASN1_STRING_get0_data(text), static_cast<std::size_t>(ASN1_STRING_length(text))))));
}

bool is_bound(X509_REQ* request, const ChannelBindings& bindings) {
  const std::string password = challenge_password(request);
  return !password.empty() && (password == bindings.unique || password == bindings.exported);
}

}  // namespace devid::test
