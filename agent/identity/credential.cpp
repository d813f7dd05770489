#include "agent/identity/credential.h"

#include <openssl/rand.h>

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/openssl.h"
#include "tokens/public_key.h"

namespace devid::identity {
namespace {

constexpr std::size_t file_limit = 64UL * 1024;

/// The DER SEQUENCE (X.690 8.1) at the start; everything if its length makes no sense, for the parser to complain
/// about.
BytesView first_sequence(BytesView stored) {
  const auto first = stored.size() < 2 ? 0 : std::to_integer<std::size_t>(stored[1]);
  if (first < 0x80) return stored.first(std::min(stored.size(), 2 + first));
  const std::size_t octets = first & 0x7fU;
  if (octets == 0 || octets > 2 || stored.size() < 2 + octets) return stored;
  std::size_t length = 0;
  for (const std::byte octet : stored.subspan(2, octets)) length = length << 8U | std::to_integer<std::size_t>(octet);
  return stored.first(std::min(stored.size(), 2 + octets + length));
}

/// DER or PEM without what fills up an NV index after it: 0x00 or 0xff.
BytesView without_padding(BytesView stored) {
  if (!stored.empty() && stored.front() == std::byte{0x30}) return first_sequence(stored);
  while (!stored.empty() && (stored.back() == std::byte{0} || stored.back() == std::byte{0xff}))
    stored = stored.first(stored.size() - 1);
  return stored;
}

Error missing(Error error) {
  if (error.code == Errc::token_no_such_key || error.code == Errc::config_missing ||
      error.code == Errc::answer_malformed) {
    error.code = Errc::idevid_missing;
    error.retry = Retry::after_operator;
  }
  if (error.code == Errc::idevid_missing && error.hint.empty())
    error.hint = "check [idevid] in the profile, and whether this device was given an IDevID";
  return error;
}

Result<Bytes> read_stored(Token& token, const CertificateLocation& location) {
  if (const auto* in_token = std::get_if<InToken>(&location)) return token.read_certificate(in_token->location);
  auto text = read_file(std::get<InFile>(location).path, file_limit, Errc::config_missing);
  if (!text) return fail(std::move(text.error()));
  return to_bytes(as_bytes(*text));
}

Result<std::vector<pki::Certificate>> read_idevid_certificates(Token& token, const CertificateLocation& location) {
  const auto stored = read_stored(token, location);
  if (!stored) return fail(while_doing("read the certificate of the IDevID", missing(stored.error())));
  auto certificates = pki::read_certificates(without_padding(*stored));
  if (!certificates) return fail(while_doing("use the certificate of the IDevID", missing(certificates.error())));
  return certificates;
}

}  // namespace

Result<Credential> open_idevid(Token& token, const IdevidLocation& location) {
  auto key = token.open_key_at(location.key.empty() ? "handle:0x81020000" : location.key);
  if (!key) return fail(while_doing("open the key of the IDevID", missing(std::move(key.error()))));
  auto certificates = read_idevid_certificates(token, location.certificate.value_or(InToken{"nv:0x01c90200"}));
  if (!certificates) return fail(std::move(certificates.error()));
  pki::Certificate certificate = std::move(certificates->front());
  certificates->erase(certificates->begin());
  if (const auto public_key = certificate.public_key(); !public_key || *public_key != (*key)->public_key()) {
    return fail({.code = Errc::idevid_mismatch,
                 .retry = Retry::after_operator,
                 .what = "the certificate of the IDevID is not for its key",
                 .reason = "the certificate's subject is " + certificate.subject(),
                 .hint = "check that idevid.key and idevid.certificate in the profile belong together"});
  }
  return Credential{.key = std::move(*key), .certificate = std::move(certificate), .chain = std::move(*certificates)};
}

Result<Credential> open_ldevid(Token& token, const Generation& generation) {
  auto key = token.open_key(generation.token_key_pem);
  if (!key) return fail(while_doing("open the key of the current credential", std::move(key.error())));
  return Credential{.key = std::move(*key), .certificate = generation.leaf, .chain = generation.chain};
}

Result<> prove_possession(Token& token, std::string_view token_key_pem, const pki::Certificate& certificate) {
  constexpr std::string_view doing = "prove that the new key signs for its certificate";
  auto key = token.open_key(token_key_pem);
  if (!key) return fail(while_doing(doing, std::move(key.error())));
  const auto public_key = certificate.public_key();
  if (!public_key) return fail(while_doing(doing, public_key.error()));
  const SignatureScheme scheme{.digest = digest_for(public_key->algorithm),
                               .padding = is_rsa(public_key->algorithm) ? Padding::rsa_pkcs1 : Padding::none};
  Bytes digest(digest_size(scheme.digest));
  if (RAND_bytes(as_uchar(std::span(digest)), static_cast<int>(digest.size())) != 1)
    return fail(while_doing(doing, openssl_error(Errc::internal, Retry::later, "no random numbers")));
  const auto signature = (*key)->sign(digest, scheme);
  if (!signature) return fail(while_doing(doing, signature.error()));
  if (auto verified = verify(*public_key, digest, scheme, *signature); !verified)
    return fail(while_doing(doing, std::move(verified.error())));
  return {};
}

}  // namespace devid::identity
