#include "agent/est/binding.h"

#include <openssl/evp.h>

#include <array>
#include <span>
#include <string_view>

#include "base/bytes.h"
#include "base/openssl.h"

namespace devid::est {
namespace {

constexpr std::string_view exporter_label = "EXPORTER-Channel-Binding";
constexpr std::size_t exporter_size = 32;
constexpr std::size_t longest_finished = EVP_MAX_MD_SIZE;

Result<std::string> refuse(Errc code, std::string what, std::string hint) {
  return fail({.code = code, .retry = Retry::after_operator, .what = std::move(what), .hint = std::move(hint)});
}

std::string base64(std::span<const unsigned char> bytes) {
  std::string digits(((bytes.size() + 2) / 3 * 4) + 1, '\0');  // EVP_EncodeBlock ends it with a NUL
  const int size = EVP_EncodeBlock(as_uchar(std::as_writable_bytes(std::span(digits))), bytes.data(),
                                   static_cast<int>(bytes.size()));
  digits.resize(static_cast<std::size_t>(size));
  return digits;
}

/// The first Finished of the handshake: the client's in a full one, the server's in a resumed one (RFC 5929 3.1).
Result<std::string> first_finished(const SSL* ssl, bool resumed) {
  std::array<unsigned char, longest_finished> finished{};
  const std::size_t size = resumed ? SSL_get_peer_finished(ssl, finished.data(), finished.size())
                                   : SSL_get_finished(ssl, finished.data(), finished.size());
  if (size == 0 || size > finished.size())
    return refuse(Errc::tls_failed, "the TLS connection has no tls-unique", "see the server's log");
  return base64(std::span(finished).first(size));
}

Result<std::string> exported(SSL* ssl) {
  std::array<unsigned char, exporter_size> material{};
  if (SSL_export_keying_material(ssl, material.data(), material.size(), exporter_label.data(), exporter_label.size(),
                                 nullptr, 0, 0) != 1)
    return fail(openssl_error(Errc::tls_failed, Retry::after_operator, "the TLS connection has no exporter"));
  return base64(material);
}

}  // namespace

Result<std::string> channel_binding(SSL* ssl, BindingKind kind) {
  const bool is_new = SSL_version(ssl) >= TLS1_3_VERSION;
  const bool resumed = SSL_session_reused(ssl) != 0;
  if (kind == BindingKind::tls_unique && is_new)
    return refuse(Errc::config_invalid, "TLS 1.3 has no tls-unique", "use tls-exporter, or TLS 1.2");
  const bool is_safe = is_new || SSL_get_extms_support(ssl) == 1;
  if (!is_safe && (resumed || kind == BindingKind::tls_exporter)) {
    return refuse(Errc::tls_failed, "the TLS connection cannot tell itself from another one",
                  "the server lacks the extended master secret (RFC 7627): update its TLS library, or turn the channel "
                  "binding off");
  }
  return kind == BindingKind::tls_unique ? first_finished(ssl, resumed) : exported(ssl);
}

}  // namespace devid::est
