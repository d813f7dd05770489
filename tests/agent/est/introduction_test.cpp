#include "agent/est/introduction.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

using Login = Introduction::Login;
using Certificate = Introduction::Certificate;
using testing::HasSubstr;

Answer answer(long status, const std::string& challenge = {}) {
  Answer out{.status = status};
  if (!challenge.empty()) out.headers["www-authenticate"] = challenge;
  return out;
}

constexpr Introduction with_certificate{.certificate = Certificate::shown};

TEST(AnIntroduction, ThatIsNotEnoughIsHintedAtByWhatItWasAndWhatTheServerWants) {
  struct Case {
    Login login;
    std::string challenge;
    std::string hint;
  };
  const std::string basic = "Basic realm=\"x\"";
  const std::string digest = "DIGEST realm=\"Basic, Bearer\", nonce=\"1\", qop=\"auth\"";
  const std::vector<Case> table = {
      {Login::none, "", "must accept this device's certificate"},
      {Login::none, basic, "wants a user and a password"},
      {Login::none, digest, "wants a user and a password"},
      {Login::none, "Negotiate, " + basic, "wants a user and a password"},
      {Login::none, "Bearer", "wants a bearer token"},
      {Login::none, "Negotiate", "must accept this device's certificate"},
      {Login::none, "Basically", "must accept this device's certificate"},
      {Login::none, "Negotiate realm=\"a, basic\"", "must accept this device's certificate"},
      {Login::none, "Negotiate realm=\"never closed, basic", "must accept this device's certificate"},
      {Login::password, basic, "does not accept this user and password"},
      {Login::password, digest, "does not accept this user and password"},
      {Login::password, "", "was not told the user and the password"},
      {Login::password, " , ,", "neither Basic nor Digest"},
      {Login::password, "Bearer realm=\"x\"", "wants a bearer token instead"},
      {Login::password, "Bearer realm=\"x\", " + basic, "does not accept this user and password"},
      {Login::password, "Negotiate", "neither Basic nor Digest"},
      {Login::basic, "", "does not accept this user and password"},
      {Login::basic, basic, "does not accept this user and password"},
      {Login::basic, digest, "by Digest"},
      {Login::basic, digest + ", " + basic, "does not accept this user and password"},
      {Login::digest, "", "was not told the user and the password"},
      {Login::digest, digest, "does not accept this user and password"},
      {Login::digest, basic, "by Basic"},
      {Login::token, "", "does not accept this bearer token"},
      {Login::token, "Bearer error=\"invalid_token\"", "does not accept this bearer token"},
      {Login::token, basic, "wants a user and a password instead"},
      {Login::token, basic + ", Bearer", "does not accept this bearer token"},
  };
  for (const auto& [login, challenge, hint] : table)
    EXPECT_THAT(hint_for(answer(401, challenge), "", {.login = login, .certificate = Certificate::shown}),
                HasSubstr(hint))
        << challenge;
}

TEST(AnIntroduction, ThatIsUnderstoodMayNotBeAllowedEverything) {
  EXPECT_THAT(hint_for(answer(403), "", with_certificate), HasSubstr("knows this device's certificate"));
  EXPECT_THAT(hint_for(answer(403), "", {}), HasSubstr("no certificate"));
  for (const Login login : {Login::password, Login::basic, Login::digest})
    EXPECT_THAT(hint_for(answer(403), "", {.login = login}), HasSubstr("knows this user"));
  EXPECT_THAT(hint_for(answer(403), "", {.login = Login::token}), HasSubstr("knows this bearer token"));
  EXPECT_THAT(hint_for(answer(403, "Bearer realm=\"x\", error=\"insufficient_scope\""), "", {.login = Login::token}),
              HasSubstr("scope of the bearer token"));
}

TEST(AnIntroduction, ThatTheServerDidNotAskForIsNotWhatItRefuses) {
  const Introduction alone{.certificate = Certificate::unused};
  for (const long status : {400, 401, 403})
    EXPECT_TRUE(hint_for(answer(status), "", alone).starts_with("no client certificate was used")) << status;
  EXPECT_THAT(hint_for(answer(401, "Basic"), "", alone),
              testing::AllOf(HasSubstr("wants a user and a password"), HasSubstr("no client certificate was used")));
  const Introduction both{.login = Login::basic, .certificate = Certificate::unused};
  for (const long status : {401, 403})
    EXPECT_THAT(hint_for(answer(status), "", both),
                testing::AllOf(HasSubstr("this user"), HasSubstr("no client certificate was used")));
  EXPECT_EQ(hint_for(answer(400), "", both), "");
  EXPECT_THAT(hint_for(answer(401), "", {}), HasSubstr("neither a certificate nor a password"));
}

TEST(AnIntroduction, IsNotToBlameForAProofOfPossessionThatIsMissingOrDoesNotFit) {
  for (const Login login : {Login::none, Login::basic, Login::token}) {
    Introduction introduction{.login = login, .certificate = Certificate::shown};
    for (const long status : {400, 401, 403}) {
      const std::string libest = "Proof of Possession Mismatch.";
      introduction.binding.reset();
      EXPECT_THAT(hint_for(answer(status, "Basic"), libest, introduction), HasSubstr("set channel_binding"));
      introduction.binding = BindingKind::tls_unique;
      EXPECT_THAT(hint_for(answer(status, "Basic"), libest, introduction), HasSubstr("load balancer"));
    }
  }
}

TEST(AnIntroduction, IsNoneOfTheBusinessOfAnotherStatus) {
  for (const long status : {200, 202, 404, 407, 415, 500, 503})
    EXPECT_EQ(hint_for(answer(status, "Basic"), "tls-unique", {.login = Login::basic}), "") << status;
  EXPECT_EQ(hint_for(answer(400), "", with_certificate), "");
}

TEST(TheWordsOfAServer, MayBeAboutProofOfPossession) {
  for (const auto* text :
       {"Proof of Possession Mismatch.", "no challengePassword", "the TLS Unique ID differs", "PoP check failed",
        "channel binding missing", "tls-unique?", "PROOF-OF-POSSESSION", "a Challenge Password is wanted"})
    EXPECT_TRUE(speaks_of_binding(text)) << text;
  for (const auto* text : {"", "popular", "the password is wrong", "possession", "binding"})
    EXPECT_FALSE(speaks_of_binding(text)) << text;
}

TEST(ALogin, IsOfTheKindThatTheProfileNames) {
  using Scheme = PasswordLogin::Scheme;
  EXPECT_EQ(sent_login({}), Login::none);
  EXPECT_EQ(sent_login(PasswordLogin{.user = "u", .scheme = Scheme::any}), Login::password);
  EXPECT_EQ(sent_login(PasswordLogin{.user = "u", .scheme = Scheme::basic}), Login::basic);
  EXPECT_EQ(sent_login(PasswordLogin{.user = "u", .scheme = Scheme::digest}), Login::digest);
  EXPECT_EQ(sent_login(BearerToken{}), Login::token);
}

}  // namespace
}  // namespace devid::est
