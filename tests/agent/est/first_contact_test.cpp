#include "agent/est/first_contact.h"

#include <gtest/gtest.h>

#include "tests/agent/est/device.h"

namespace devid::est::test {
namespace {

using devid::test::ClientAuth;
using devid::test::EstOperation;
using devid::test::EstServer;

class AFirstContact : public testing::Test {
 protected:
  static Result<std::vector<pki::Certificate>> fetch(const EstServer& server) {
    return fetch_unverified(
        {.endpoint = need(Endpoint::parse(server.url())), .limits = {.request_timeout = Seconds(10)}});
  }
};

TEST_F(AFirstContact, BringsTheCertificatesOfAServerThatNobodyHasVouchedFor) {
  const EstServer server(server_spec());
  const auto fetched = need(fetch(server));
  ASSERT_EQ(fetched.size(), 2U);
  EXPECT_EQ(fetched[1].subject(), "CN=operator");
}

TEST_F(AFirstContact, ShowsNothingOfTheDevice) {
  const EstServer server(server_spec());
  static_cast<void>(need(fetch(server)));
  const auto request = server.requests().at(0);
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.target, "/.well-known/est/cacerts");
  EXPECT_EQ(request.client, "");
  EXPECT_FALSE(request.header("authorization"));
}

TEST_F(AFirstContact, GoesNoFartherThanTheHandshakeWhereTheServerDemandsACertificate) {
  auto spec = server_spec();
  spec.client_auth = ClientAuth::demand;
  const EstServer server(std::move(spec));
  const auto fetched = fetch(server);
  ASSERT_FALSE(fetched);
  EXPECT_EQ(fetched.error().code, Errc::tls_failed) << fetched.error().sentence();
}

TEST_F(AFirstContact, TellsWhatIsWrongAsASessionDoes) {
  EstServer server(server_spec());
  server.misbehave(EstOperation::cacerts, devid::test::misbehaviour("status-404"), 1);
  const auto missing = fetch(server);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Errc::server_refused);
  EXPECT_TRUE(missing.error().what.starts_with("cannot get https://127.0.0.1:")) << missing.error().what;
  server.misbehave(EstOperation::cacerts, devid::test::misbehaviour("oversized"), 1);
  EXPECT_EQ(fetch(server).error().code, Errc::answer_too_large);
  server.misbehave(EstOperation::cacerts, {.status = 307, .location = "https://elsewhere.invalid/"}, 1);
  EXPECT_EQ(fetch(server).error().code, Errc::server_protocol);
}

}  // namespace
}  // namespace devid::est::test
