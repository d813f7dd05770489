#include "tests/support/est_login.h"

#include <openssl/evp.h>

#include <array>
#include <regex>
#include <string_view>

#include "base/bytes.h"
#include "tests/support/est_answer.h"

namespace devid::test {
namespace {

constexpr std::string_view realm = "estrealm";
constexpr std::string_view nonce = "5f1e0c9b7d";

std::string base64(const std::string& text) {
  std::string out = to_base64(as_bytes(text));
  std::erase(out, '\n');
  return out;
}

std::string hex_digest(const std::string& algorithm, const std::string& text) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  const EVP_MD* kind = algorithm == "MD5" ? EVP_md5() : EVP_sha256();
  EVP_Digest(text.data(), text.size(), digest.data(), &size, kind, nullptr);
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (unsigned i = 0; i < size; ++i) {
    out += digits[digest.at(i) >> 4U];
    out += digits[digest.at(i) & 0xfU];
  }
  return out;
}

/// The value of one parameter of a Digest header, without quotes.
std::string parameter(const std::string& header, const std::string& name) {
  std::smatch match;
  return std::regex_search(header, match, std::regex("[ ,]" + name + "=\"?([^\",]*)")) ? match[1].str() : "";
}

/// RFC 7616 3.4.1, with qop=auth.
bool is_right_digest(const EstLogin& login, const LoginAttempt& attempt) {
  const std::string& header = attempt.authorization;
  if (!header.starts_with("Digest ") || parameter(header, "nonce") != nonce ||
      parameter(header, "uri") != attempt.target || parameter(header, "username") != login.user)
    return false;
  const auto hash = [&login](const std::string& text) { return hex_digest(login.algorithm, text); };
  const std::string secret = hash(login.user + ":" + std::string(realm) + ":" + login.password);
  const std::string message = hash(attempt.method + ":" + attempt.target);
  return parameter(header, "response") == hash(secret + ":" + std::string(nonce) + ":" + parameter(header, "nc") + ":" +
                                               parameter(header, "cnonce") + ":auth:" + message);
}

}  // namespace

std::optional<std::string> challenge_for(const EstLogin& login, const LoginAttempt& attempt) {
  const std::string basic = "Basic " + base64(login.user + ":" + login.password);
  const std::string in_realm = " realm=\"" + std::string(realm) + "\"";
  const std::string digest_challenge =
      "Digest" + in_realm + ", qop=\"auth\", algorithm=" + login.algorithm + ", nonce=\"" + std::string(nonce) + "\"";
  switch (login.scheme) {
    case EstLogin::Scheme::basic:
      return attempt.authorization == basic ? std::nullopt : std::optional("Basic" + in_realm);
    case EstLogin::Scheme::digest:
      return is_right_digest(login, attempt) ? std::nullopt : std::optional(digest_challenge);
    case EstLogin::Scheme::basic_and_digest:
      if (attempt.authorization == basic || is_right_digest(login, attempt)) return std::nullopt;
      return "Basic" + in_realm + "\r\nWWW-Authenticate: " + digest_challenge;
    case EstLogin::Scheme::bearer:
      return attempt.authorization == "Bearer " + login.password ? std::nullopt : std::optional("Bearer" + in_realm);
  }
  return std::nullopt;
}

}  // namespace devid::test
