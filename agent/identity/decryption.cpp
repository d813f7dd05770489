#include "agent/identity/decryption.h"

#include <array>
#include <utility>

#include "base/file.h"

namespace devid::identity {
namespace {

constexpr std::size_t longest_private_key = 16384;
constexpr std::size_t longest_certificate = 65536;
constexpr std::string_view doing = "decrypt the key that the server makes";

std::optional<unsigned> digit_of(std::byte octet) {
  const char c = static_cast<char>(octet);
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<unsigned>(c - 'A' + 10);
  return std::nullopt;
}

/// An AES key of hexadecimal digits; none if it is not one.
std::optional<Secret> from_hex(const Secret& text) {
  std::array<std::byte, 32> key{};
  const BytesView digits = text.reveal();
  const std::size_t size = digits.size() / 2;
  if (digits.size() % 2 != 0 || (size != 16 && size != 24 && size != 32)) return std::nullopt;
  bool whole = true;
  for (std::size_t i = 0; i < size; ++i) {
    const auto high = digit_of(digits[2 * i]);
    const auto low = digit_of(digits[(2 * i) + 1]);
    whole = whole && high && low;
    key.at(i) = static_cast<std::byte>((high.value_or(0) << 4U) | low.value_or(0));
  }
  Secret secret(BytesView(key).first(size));
  wipe(key);
  return whole ? std::optional(std::move(secret)) : std::nullopt;
}

Result<pki::DecryptionKey> read(const SharedSecret& shared) {
  const auto text = read_secret(shared.key);
  if (!text) return fail(while_doing(doing, text.error()));
  auto key = from_hex(*text);
  if (!key) {
    return fail({.code = Errc::config_invalid,
                 .retry = Retry::after_operator,
                 .what = "the secret " + source_text(shared.key) + " is no AES key",
                 .hint = "it has to be 32, 48 or 64 hexadecimal digits, and the same at the server"});
  }
  return pki::DecryptionKey(
      pki::SymmetricDecryptionKey{.identifier = to_bytes(as_bytes(shared.identifier)), .key = std::move(*key)});
}

Error needs_operator(Error error, Errc code) {
  error.code = code;
  error.retry = Retry::after_operator;
  error.hint = "key.decryption.certificate must name a file with the certificate of the private key, in PEM or DER";
  return error;
}

Result<std::optional<pki::Certificate>> read_certificate(const std::filesystem::path& file) {
  if (file.empty()) return std::optional<pki::Certificate>();
  const auto content = read_file(file, longest_certificate, Errc::config_missing);
  if (!content) return fail(while_doing(doing, needs_operator(content.error(), Errc::config_missing)));
  auto certificates = pki::read_certificates(as_bytes(*content), 1);
  if (certificates) return std::optional(std::move(certificates->front()));
  return fail(
      while_doing("use " + file.string(), needs_operator(std::move(certificates.error()), Errc::config_invalid)));
}

Result<pki::DecryptionKey> read(const DecryptionKeyPair& pair) {
  auto key = read_secret(pair.key, longest_private_key);
  if (!key) return fail(while_doing(doing, std::move(key.error())));
  auto certificate = read_certificate(pair.certificate);
  if (!certificate) return fail(std::move(certificate.error()));
  return pki::DecryptionKey(pki::AsymmetricDecryptionKey{.identifier = to_bytes(as_bytes(pair.identifier)),
                                                         .certificate = std::move(*certificate),
                                                         .pkcs8 = std::move(*key)});
}

}  // namespace

Result<pki::DecryptionKey> read_decryption_key(const KeyFromServer& settings) {
  if (const auto* shared = std::get_if<SharedSecret>(&settings.decryption)) return read(*shared);
  if (const auto* pair = std::get_if<DecryptionKeyPair>(&settings.decryption)) return read(*pair);
  return pki::DecryptionKey();
}

}  // namespace devid::identity
