#include <gtest/gtest.h>

#include <string>

#include "agent/est/session.h"
#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::EstLogin;
using devid::test::EstOperation;
using devid::test::EstServer;
using Scheme = PasswordLogin::Scheme;

/// A device that has no certificate yet.
class ALogin : public testing::Test {
 protected:
  static devid::test::EstServerSpec wanting(EstLogin::Scheme scheme, std::string algorithm = "MD5") {
    auto spec = server_spec();
    spec.login =
        EstLogin{.scheme = scheme, .user = "device 17", .password = "correct:horse", .algorithm = std::move(algorithm)};
    return spec;
  }
  static PasswordLogin login(Scheme scheme, std::string_view password = "correct:horse") {
    return {.user = "device 17", .password = secret(password), .scheme = scheme};
  }
  Result<Enrollment> enroll(const EstServer& server, HttpAuthentication authentication) {
    auto spec = session_spec(server, device);
    spec.client.reset();
    spec.authentication = std::move(authentication);
    return need(Session::create(std::move(spec)))->simple_enroll(request_of(new_key.signing_key()));
  }
  static std::string sent(const EstServer& server, std::size_t request) {
    return server.requests().at(request).header("authorization").value_or("");
  }

  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
};

TEST_F(ALogin, OpensTheDoorForADeviceWithoutACertificate) {
  const struct {
    EstLogin::Scheme wanted;
    std::string algorithm;
    Scheme scheme;
    std::size_t rounds;
    std::string sent;
  } table[] = {
      {EstLogin::Scheme::basic, "MD5", Scheme::basic, 1, "Basic "},
      {EstLogin::Scheme::basic, "MD5", Scheme::any, 2, "Basic "},
      {EstLogin::Scheme::digest, "MD5", Scheme::digest, 2, "Digest "},
      {EstLogin::Scheme::digest, "MD5", Scheme::any, 2, "Digest "},
      {EstLogin::Scheme::digest, "SHA-256", Scheme::any, 2, "Digest "},
      {EstLogin::Scheme::basic_and_digest, "MD5", Scheme::any, 2, "Digest "},
  };
  for (const auto& row : table) {
    const EstServer server(wanting(row.wanted, row.algorithm));
    const auto answer = enroll(server, login(row.scheme));
    ASSERT_TRUE(answer) << answer.error().sentence();
    ASSERT_EQ(server.requests().size(), row.rounds);
    EXPECT_TRUE(sent(server, row.rounds - 1).starts_with(row.sent)) << sent(server, row.rounds - 1);
    if (row.rounds == 2) {
      EXPECT_EQ(sent(server, 0).find("Basic"), std::string::npos) << "before the server asked";
      EXPECT_EQ(sent(server, 0).find("response"), std::string::npos) << "before the server asked";
    }
    EXPECT_EQ(server.connections(), 1U);
    EXPECT_EQ(server.requests().back().client, "");
  }
}

TEST_F(ALogin, GoesOverConnectionsThatTheServerClosesEachTime) {
  EstServer server(wanting(EstLogin::Scheme::digest));
  server.misbehave(EstOperation::simpleenroll, devid::test::misbehaviour("http-1.0"));
  const auto answer = enroll(server, login(Scheme::any));
  EXPECT_TRUE(answer) << answer.error().sentence();
  EXPECT_EQ(server.connections(), 2U);
}

TEST_F(ALogin, MayBeABearerToken) {
  auto spec = wanting(EstLogin::Scheme::bearer);
  spec.login->password = "t0ken.of/17==";
  const EstServer server(std::move(spec));
  const auto answer = enroll(server, BearerToken{secret("t0ken.of/17==")});
  EXPECT_TRUE(answer) << answer.error().sentence();
  const auto expired = enroll(server, BearerToken{secret("another")});
  ASSERT_FALSE(expired);
  EXPECT_EQ(expired.error().code, Errc::server_unauthorized);
  EXPECT_NE(expired.error().hint.find("bearer token"), std::string::npos) << expired.error().hint;
}

TEST_F(ALogin, ThatIsRefusedIsTriedOnceAndHintedAt) {
  for (const auto& [wanted, scheme] :
       {std::pair(EstLogin::Scheme::basic, Scheme::basic), std::pair(EstLogin::Scheme::digest, Scheme::digest),
        std::pair(EstLogin::Scheme::basic_and_digest, Scheme::any)}) {
    const EstServer server(wanting(wanted));
    const auto answer = enroll(server, login(scheme, "wrong"));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
    EXPECT_EQ(answer.error().retry, Retry::after_operator);
    EXPECT_NE(answer.error().hint.find("user and password"), std::string::npos) << answer.error().hint;
    EXPECT_EQ(answer.error().sentence().find("wrong"), std::string::npos) << "the password was shown";
    EXPECT_LE(server.requests().size(), 2U);
  }
}

TEST_F(ALogin, IsWhatTheServerWantsIfItChallengesForOne) {
  const EstServer server(wanting(EstLogin::Scheme::basic));
  const auto answer = enroll(server, {});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
  EXPECT_NE(answer.error().hint.find("wants a user and a password"), std::string::npos) << answer.error().hint;
}

TEST_F(ALogin, ThatIsOfAnotherKindThanTheServerWantsIsHintedAt) {
  const struct {
    EstLogin::Scheme wanted;
    std::optional<Scheme> sent;  ///< none: a bearer token
    std::string hint;
  } table[] = {
      {EstLogin::Scheme::digest, Scheme::basic, "by Digest"},
      {EstLogin::Scheme::basic, Scheme::digest, "by Basic"},
      {EstLogin::Scheme::bearer, Scheme::any, "wants a bearer token instead"},
      {EstLogin::Scheme::basic, std::nullopt, "wants a user and a password instead"},
  };
  for (const auto& row : table) {
    const EstServer server(wanting(row.wanted));
    const auto answer = row.sent ? enroll(server, login(*row.sent)) : enroll(server, BearerToken{secret("t0ken")});
    ASSERT_FALSE(answer) << row.hint;
    EXPECT_EQ(answer.error().code, Errc::server_unauthorized);
    EXPECT_NE(answer.error().hint.find(row.hint), std::string::npos) << answer.error().hint;
  }
}

TEST_F(ALogin, IsNotMadeAtAServerThatTlsDoesNotTrust) {
  const EstServer server(wanting(EstLogin::Scheme::basic));
  auto spec = session_spec(server, device);
  spec.client.reset();
  spec.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  spec.authentication = login(Scheme::basic);
  const auto answer = need(Session::create(std::move(spec)))->ca_certificates();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::tls_untrusted);
  EXPECT_TRUE(server.requests().empty());
}

TEST_F(ALogin, FollowsARedirectWithinTheOriginAlone) {
  EstServer other(wanting(EstLogin::Scheme::basic));
  EstServer server(wanting(EstLogin::Scheme::basic));
  server.misbehave(EstOperation::simpleenroll, {.status = 307, .location = "moved/simpleenroll"}, 1);
  EXPECT_TRUE(enroll(server, login(Scheme::basic)));
  EXPECT_TRUE(sent(server, 1).starts_with("Basic "));
  server.misbehave(EstOperation::simpleenroll,
                   {.status = 307, .location = other.url() + "/.well-known/est/simpleenroll"});
  EXPECT_FALSE(enroll(server, login(Scheme::basic)));
  EXPECT_EQ(other.connections(), 0U);
}

TEST_F(ALogin, CannotBeMadeOfWhatHttpCannotSend) {
  const EstServer server(wanting(EstLogin::Scheme::basic));
  auto spec = session_spec(server, device);
  spec.authentication = login(Scheme::basic, "word\r\nX-Admin: yes");
  const auto made = Session::create(std::move(spec));
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code, Errc::config_invalid);
}

}  // namespace
}  // namespace devid::est::test
