#include "base/error.h"

#include <array>
#include <utility>

namespace devid {
namespace {

constexpr std::array names = std::to_array<std::pair<Errc, std::string_view>>({
    {Errc::usage, "Usage"},
    {Errc::no_such_identity, "NoSuchIdentity"},
    {Errc::wrong_state, "WrongState"},
    {Errc::not_authorized, "NotAuthorized"},
    {Errc::config_missing, "ConfigMissing"},
    {Errc::config_syntax, "ConfigSyntax"},
    {Errc::config_invalid, "ConfigInvalid"},
    {Errc::token_unreachable, "TokenUnreachable"},
    {Errc::token_not_ready, "TokenNotReady"},
    {Errc::token_locked_out, "TokenLockedOut"},
    {Errc::token_auth_failed, "TokenAuthFailed"},
    {Errc::token_no_such_key, "TokenNoSuchKey"},
    {Errc::token_wrong_key, "TokenWrongKey"},
    {Errc::token_unsupported, "TokenUnsupported"},
    {Errc::token_module, "TokenModule"},
    {Errc::token_ambiguous, "TokenAmbiguous"},
    {Errc::token_read_only, "TokenReadOnly"},
    {Errc::token_full, "TokenFull"},
    {Errc::token_failed, "TokenFailed"},
    {Errc::idevid_missing, "IdevidMissing"},
    {Errc::idevid_expired, "IdevidExpired"},
    {Errc::idevid_mismatch, "IdevidMismatch"},
    {Errc::network_unreachable, "NetworkUnreachable"},
    {Errc::network_timeout, "NetworkTimeout"},
    {Errc::tls_untrusted, "TlsUntrusted"},
    {Errc::tls_failed, "TlsFailed"},
    {Errc::proxy_failed, "ProxyFailed"},
    {Errc::trust_missing, "TrustMissing"},
    {Errc::server_unavailable, "ServerUnavailable"},
    {Errc::server_refused, "ServerRefused"},
    {Errc::server_unauthorized, "ServerUnauthorized"},
    {Errc::server_protocol, "ServerProtocol"},
    {Errc::answer_too_large, "AnswerTooLarge"},
    {Errc::answer_malformed, "AnswerMalformed"},
    {Errc::demand_unmet, "DemandUnmet"},
    {Errc::certificate_wrong_key, "CertificateWrongKey"},
    {Errc::certificate_untrusted, "CertificateUntrusted"},
    {Errc::certificate_not_valid_now, "CertificateNotValidNow"},
    {Errc::certificate_is_ca, "CertificateIsCa"},
    {Errc::certificate_wrong_usage, "CertificateWrongUsage"},
    {Errc::certificate_wrong_name, "CertificateWrongName"},
    {Errc::certificate_unchanged, "CertificateUnchanged"},
    {Errc::certificate_refused, "CertificateRefused"},
    {Errc::certificate_revoked, "CertificateRevoked"},
    {Errc::revocation_unknown, "RevocationUnknown"},
    {Errc::storage_failed, "StorageFailed"},
    {Errc::state_corrupt, "StateCorrupt"},
    {Errc::cancelled, "Cancelled"},
    {Errc::internal, "Internal"},
});
static_assert(names.size() == static_cast<std::size_t>(Errc::internal) + 1, "every code has a name");

/// How long a UTF-8 sequence is by its first byte, 0 for a byte that starts none (RFC 3629 section 4).
std::size_t length_by_lead(unsigned char lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2) return 0;
  if (lead < 0xe0) return 2;
  if (lead < 0xf0) return 3;
  return lead < 0xf5 ? 4 : 0;
}

/// The length of the valid UTF-8 sequence at the start of `text`, or 0.
std::size_t utf8_length(std::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  const std::size_t length = length_by_lead(lead);
  if (length < 2) return length;
  if (length > text.size()) return 0;
  char32_t point = lead & (0xffU >> (length + 1));
  for (const char c : text.substr(1, length - 1)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte & 0xc0U) != 0x80) return 0;
    point = (point << 6U) | (byte & 0x3fU);
  }
  const char32_t least = length == 4 ? 0x10000 : 0x800;
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  return (length > 2 && point < least) || surrogate || point > 0x10ffff ? 0 : length;
}

/// C0 and C1 controls, line separators, and what turns the direction of text.
bool is_harmful(std::string_view sequence) {
  if (sequence.size() == 1) return sequence[0] < 0x20 || sequence[0] == 0x7f;
  if (sequence == "\xd8\x9c") return true;  // the Arabic letter mark turns the direction, too
  if (sequence.size() == 2) return sequence[0] == '\xc2' && static_cast<unsigned char>(sequence[1]) < 0xa0;
  if (sequence.size() != 3 || sequence[0] != '\xe2') return false;
  const auto second = static_cast<unsigned char>(sequence[1]);
  const auto third = static_cast<unsigned char>(sequence[2]);
  return (second == 0x80 && ((third >= 0x8e && third <= 0x8f) || (third >= 0xa8 && third <= 0xae))) ||
         (second == 0x81 && third >= 0xa6 && third <= 0xa9);
}

void append_escaped(std::string& out, std::string_view bytes) {
  constexpr std::string_view hex = "0123456789abcdef";
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += "\\x";
    out += hex[byte >> 4U];
    out += hex[byte & 0xfU];
  }
}

}  // namespace

std::string_view code_name(Errc code) {
  for (const auto& [value, name] : names)
    if (value == code) return name;
  return "Internal";
}

const std::vector<Errc>& all_error_codes() {
  static const std::vector<Errc> codes = [] {
    std::vector<Errc> all;
    all.reserve(names.size());
    for (const auto& [value, name] : names) all.push_back(value);
    return all;
  }();
  return codes;
}

std::string_view retry_name(Retry retry) {
  switch (retry) {
    case Retry::never: return "never";
    case Retry::later: return "later";
    case Retry::after_operator: return "after-operator";
  }
  return "never";
}

std::string Error::sentence() const {
  std::string text = printable(what);
  if (!reason.empty()) text.append(" (").append(printable(reason)).append(")");
  return text;
}

Error while_doing(std::string_view doing, Error error) {
  error.what = std::string("cannot ").append(doing).append(": ").append(error.what);
  return error;
}

std::string printable(std::string_view text, std::size_t limit) {
  std::string out;
  while (!text.empty()) {
    const std::size_t length = utf8_length(text);
    const std::string_view piece = text.substr(0, length == 0 ? 1 : length);
    if (out.size() + piece.size() > limit) return out + "…";
    if (length == 0 || is_harmful(piece)) {
      append_escaped(out, piece);
    } else {
      out += piece;
    }
    text.remove_prefix(piece.size());
  }
  return out;
}

}  // namespace devid
