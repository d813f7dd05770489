#include "agent/est/introduction.h"

#include <algorithm>
#include <array>

#include "agent/est/ascii.h"

namespace devid::est {
namespace {

using Login = Introduction::Login;
using Certificate = Introduction::Certificate;

constexpr std::string_view unused_certificate =
    "no client certificate was used: the server did not ask for one, or the device's does not fit what it asks for";

/// What of the challenges (RFC 9110 11.6.1) matters here.
struct Offer {
  bool any = false;
  bool basic = false;
  bool digest = false;
  bool bearer = false;
  bool scope_too_small = false;  ///< of the token (RFC 6750 3.1)

  [[nodiscard]] bool password() const { return basic || digest; }
};

/// One element of the list: a parameter, or a scheme that may have one behind it.
void note(std::string_view element, Offer& offer) {
  const std::string text = ascii::lower(ascii::trim(element));
  const auto begins = [&](std::string_view scheme) {
    return text.starts_with(scheme) && (text.size() == scheme.size() || ascii::is_blank(text[scheme.size()]));
  };
  offer.basic |= begins("basic");
  offer.digest |= begins("digest");
  offer.bearer |= begins("bearer");
  offer.scope_too_small |= text.ends_with("error=\"insufficient_scope\"") || text.ends_with("error=insufficient_scope");
}

Offer offer_of(std::string_view challenges) {
  Offer offer{.any = !ascii::trim(challenges).empty()};
  bool quoted = false;
  std::size_t begin = 0;
  for (std::size_t at = 0; at <= challenges.size(); ++at) {
    if (at < challenges.size() && challenges[at] == '"') quoted = !quoted;
    if (at < challenges.size() && (quoted || challenges[at] != ',')) continue;
    note(challenges.substr(begin, at - begin), offer);
    begin = at + 1;
  }
  return offer;
}

std::string_view binding_hint(const std::optional<BindingKind>& binding) {
  if (!binding)
    return "the server wants proof of possession, and this request had none: set channel_binding in the profile to "
           "\"auto\" or \"tls-unique\", and allow TLS 1.2";
  return "the server sees another TLS connection than this device: see whether something before it, such as a load "
         "balancer, ends TLS, and whether it wants the kind that the profile's channel_binding names";
}

/// 401, though there is a user and a password.
std::string_view password_hint(const Offer& offer, Login login) {
  if (!offer.any && login != Login::basic)
    return "the server was not told the user and the password, since its answer asks for neither Basic nor Digest; "
           "with scheme = \"basic\" the profile sends them unasked";
  if (offer.bearer && !offer.password())
    return "the server wants a bearer token instead of a user and a password: set one in the profile";
  if (offer.any && !offer.password())
    return "the server wants a login that is neither Basic nor Digest (RFC 7030 3.2.3): see its configuration";
  if (offer.any && login == Login::basic && !offer.basic)
    return "the server wants the user and the password by Digest, and the profile's scheme allows Basic alone";
  if (offer.any && login == Login::digest && !offer.digest)
    return "the server wants the user and the password by Basic, and the profile's scheme allows Digest alone";
  return "the server does not accept this user and password: check both in the profile, and at the server";
}

std::string_view token_hint(const Offer& offer) {
  if (offer.password() && !offer.bearer)
    return "the server wants a user and a password instead of a bearer token: set them in the profile";
  return "the server does not accept this bearer token: has it expired, or is it for another server?";
}

/// 401, and nothing but a certificate that could have been known to the server.
std::string_view certificate_hint(const Offer& offer, Certificate certificate) {
  if (offer.password())
    return "the server wants a user and a password: set them in the profile, or have it accept this device's "
           "certificate";
  if (offer.bearer) return "the server wants a bearer token: set one in the profile";
  if (certificate == Certificate::none)
    return "the server wants to know who asks: this device has shown it neither a certificate nor a password";
  return "the server must accept this device's certificate as authentication: is its CA trusted there?";
}

std::string_view unauthorized_hint(const Offer& offer, const Introduction& introduction) {
  switch (introduction.login) {
    case Login::password:
    case Login::basic:
    case Login::digest: return password_hint(offer, introduction.login);
    case Login::token: return token_hint(offer);
    case Login::none: break;
  }
  return certificate_hint(offer, introduction.certificate);
}

std::string_view forbidden_hint(const Offer& offer, const Introduction& introduction) {
  switch (introduction.login) {
    case Login::password:
    case Login::basic:
    case Login::digest: return "the server knows this user, but does not allow it this operation: see its rules";
    case Login::token:
      return offer.scope_too_small
                 ? "the scope of the bearer token does not cover this operation: have one issued that does"
                 : "the server knows this bearer token, but does not allow it this operation: see what it is for";
    case Login::none: break;
  }
  if (introduction.certificate == Certificate::none) return "the server lets nobody do this who has no certificate";
  return "the server knows this device's certificate, but does not allow it this operation";
}

}  // namespace

Login sent_login(const HttpAuthentication& authentication) {
  if (std::holds_alternative<BearerToken>(authentication)) return Login::token;
  const auto* const login = std::get_if<PasswordLogin>(&authentication);
  if (login == nullptr) return Login::none;
  switch (login->scheme) {
    case PasswordLogin::Scheme::basic: return Login::basic;
    case PasswordLogin::Scheme::digest: return Login::digest;
    case PasswordLogin::Scheme::any: break;
  }
  return Login::password;
}

bool speaks_of_binding(std::string_view text) {
  constexpr std::array<std::string_view, 8> words{"challengepassword",   "challenge password", "proof of possession",
                                                  "proof-of-possession", "tls-unique",         "tls unique id",
                                                  "channel binding",     "pop check"};
  const std::string lower = ascii::lower(text);
  return std::ranges::any_of(words, [&](std::string_view word) { return lower.find(word) != std::string::npos; });
}

std::string hint_for(const Answer& answer, std::string_view text, const Introduction& introduction) {
  if (answer.status != 400 && answer.status != 401 && answer.status != 403) return {};
  if (speaks_of_binding(text)) return std::string(binding_hint(introduction.binding));
  const Offer offer = offer_of(answer.header("www-authenticate"));
  const bool unused = introduction.certificate == Certificate::unused;
  const bool may_be_all = introduction.login == Login::none && (answer.status != 401 || !offer.any);
  if (unused && may_be_all) return std::string(unused_certificate);
  if (answer.status == 400) return {};
  std::string hint(answer.status == 401 ? unauthorized_hint(offer, introduction) : forbidden_hint(offer, introduction));
  if (unused) hint.append("; ").append(unused_certificate);
  return hint;
}

}  // namespace devid::est
