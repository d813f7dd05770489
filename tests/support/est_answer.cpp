#include "tests/support/est_answer.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <sstream>

#include "tests/support/est_issuer.h"

namespace devid::test {
namespace {

using Encoder = Owned<EVP_ENCODE_CTX, EVP_ENCODE_CTX_free>;

constexpr std::size_t ten_megabytes = 10'000'000;
constexpr std::size_t libest_untold = 246;

std::string without_line_ends(std::string text) {
  std::erase(text, '\n');
  return text;
}

std::string with_network_line_ends(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n') out += '\r';
    out += c;
  }
  return out;
}

std::string flawed_body(BytesView content, BodyFlaw flaw) {
  std::string good = to_base64(content);
  switch (flaw) {
    case BodyFlaw::none: return good;
    case BodyFlaw::empty: return {};
    case BodyFlaw::empty_cms: return to_base64(certs_only({}));
    case BodyFlaw::garbage: return "<html>this is no base64</html>\n";
    case BodyFlaw::not_cms: return to_base64(as_bytes("this is no CMS"));
    case BodyFlaw::truncated: return good.substr(0, good.size() / 2);
    case BodyFlaw::oversized: return good.assign(ten_megabytes, 'A');
    case BodyFlaw::trailing_nul: return good + '\0';
    case BodyFlaw::one_line: return without_line_ends(good);
    case BodyFlaw::crlf: return with_network_line_ends(good);
    case BodyFlaw::pem: return "-----BEGIN PKCS7-----\n" + good + "-----END PKCS7-----\n";
  }
  return {};
}

/// IMF-fixdate (RFC 9110 5.6.7).
std::string http_date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  std::array<char, 64> text{};
  const std::size_t size = std::strftime(text.data(), text.size(), "%a, %d %b %Y %H:%M:%S GMT", &utc);
  return {text.data(), size};
}

std::string chunked(std::string_view body) {
  std::ostringstream out;
  constexpr std::size_t most = 100;
  for (std::size_t at = 0; at < body.size(); at += most) {
    const std::string_view piece = body.substr(at, most);
    out << std::hex << piece.size() << "\r\n" << piece << "\r\n";
  }
  out << "0\r\n\r\n";
  return out.str();
}

}  // namespace

std::string to_base64(BytesView bytes) {
  const Encoder encoder(EVP_ENCODE_CTX_new());
  std::string out((bytes.size() * 2) + 80, '\0');
  auto* at = as_uchar(std::as_writable_bytes(std::span(out)));
  int first = 0;
  int last = 0;
  EVP_EncodeInit(encoder.get());
  EVP_EncodeUpdate(encoder.get(), at, &first, as_uchar(bytes), static_cast<int>(bytes.size()));
  EVP_EncodeFinal(encoder.get(), at + first, &last);
  out.resize(static_cast<std::size_t>(first) + static_cast<std::size_t>(last));
  return out;
}

Bytes from_base64(std::string_view text) {
  const Encoder decoder(EVP_ENCODE_CTX_new());
  Bytes out(text.size() + 80);
  int first = 0;
  int last = 0;
  EVP_DecodeInit(decoder.get());
  const bool ok = EVP_DecodeUpdate(decoder.get(), as_uchar(std::span(out)), &first, as_uchar(as_bytes(text)),
                                   static_cast<int>(text.size())) >= 0 &&
                  EVP_DecodeFinal(decoder.get(), as_uchar(std::span(out)) + first, &last) == 1;
  out.resize(ok ? static_cast<std::size_t>(first) + static_cast<std::size_t>(last) : 0);
  return out;
}

std::string answer_bytes(const Reply& reply, const Misbehaviour& misbehaviour) {
  if (misbehaviour.raw) return *misbehaviour.raw;
  const bool is_text = reply.content.empty();
  const std::string body = is_text ? reply.text : flawed_body(reply.content, misbehaviour.body);
  const std::string type = misbehaviour.media_type.value_or(reply.media_type);
  std::ostringstream out;
  out << (misbehaviour.form == HttpForm::http_1_0 ? "HTTP/1.0 " : "HTTP/1.1 ") << reply.status << " devid test\r\n";
  out << "Date: " << http_date() << "\r\n";
  if (!type.empty()) out << "Content-Type: " << type << "\r\n";
  if (!is_text && misbehaviour.transfer_encoding) out << "Content-Transfer-Encoding: base64\r\n";
  if (!misbehaviour.retry_after.empty()) out << "Retry-After: " << misbehaviour.retry_after << "\r\n";
  if (!misbehaviour.location.empty()) out << "Location: " << misbehaviour.location << "\r\n";
  if (!reply.challenge.empty()) out << "WWW-Authenticate: " << reply.challenge << "\r\n";
  out << misbehaviour.head;
  if (misbehaviour.form == HttpForm::chunked) {
    out << "Transfer-Encoding: chunked\r\n\r\n" << chunked(body);
  } else if (reply.status == 204) {
    out << "\r\n";
  } else {
    const std::size_t untold = misbehaviour.form == HttpForm::short_length ? libest_untold : 0;
    out << "Content-Length: " << body.size() - std::min(untold, body.size()) << "\r\n\r\n" << body;
  }
  return out.str();
}

}  // namespace devid::test
