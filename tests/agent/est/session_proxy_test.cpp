#include <gtest/gtest.h>

#include <string>

#include "agent/est/first_contact.h"
#include "agent/est/session.h"
#include "tests/agent/est/device.h"
#include "tests/support/proxies.h"

namespace devid::est::test {
namespace {

using devid::test::EstLogin;
using devid::test::EstServer;
using devid::test::ProxyProcess;

/// Proxies of others between this device and an EST server that wants the binding of the innermost connection.
class AProxyOnTheWay : public testing::Test {
 protected:
  static devid::test::EstServerSpec demanding() {
    auto spec = server_spec();
    spec.demand_binding = true;
    return spec;
  }
  static Proxy at(const std::string& scheme, const ProxyProcess& process) {
    return {.url = scheme + "://" + process.address(), .login = {}, .exceptions = {}, .anchors = {}};
  }
  static ProxyLogin login(std::string_view password) { return {.user = "device", .password = secret(password)}; }

  std::unique_ptr<Session> through(Proxy proxy) {
    auto spec = session_spec(server, device);
    spec.binding = BindingKind::tls_exporter;
    spec.proxy = std::move(proxy);
    return need(Session::create(std::move(spec)));
  }
  void expect_way(Proxy proxy) {
    const auto session = through(std::move(proxy));
    static_cast<void>(need(session->ca_certificates()));
    const auto answer = session->simple_enroll(requests.source());
    ASSERT_TRUE(answer) << answer.error().sentence();
    EXPECT_TRUE(std::holds_alternative<Issued>(*answer));
    EXPECT_EQ(server.connections(), 1U);
    for (const auto& request : server.requests()) {
      EXPECT_FALSE(request.header("proxy-authorization")) << "the proxy's password went on to the server";
      EXPECT_FALSE(request.header("authorization"));
      EXPECT_NE(request.client.find("IDevID"), std::string::npos);
    }
  }
  void expect_failure(Proxy proxy, std::string_view what, Retry retry) {
    const auto answer = through(std::move(proxy))->ca_certificates();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Errc::proxy_failed) << answer.error().sentence();
    EXPECT_NE(answer.error().what.find(what), std::string::npos) << answer.error().sentence();
    EXPECT_EQ(answer.error().retry, retry) << answer.error().sentence();
    EXPECT_FALSE(answer.error().hint.empty());
    EXPECT_EQ(answer.error().sentence().find("secret"), std::string::npos) << "a password was shown";
    EXPECT_TRUE(server.requests().empty());
    EXPECT_EQ(device.key.signing_key().signatures(), 0U) << "the IDevID was shown";
  }

  EstServer server{demanding()};
  Device device;
  Key new_key{KeyAlgorithm::ec_p256};
  Requests requests{new_key.signing_key()};
};

TEST_F(AProxyOnTheWay, MayBeHttp) {
  const auto process = ProxyProcess::tinyproxy();
  expect_way(at("http", process));
  EXPECT_NE(process.log().find("CONNECT 127.0.0.1:" + std::to_string(server.port())), std::string::npos);
}

TEST_F(AProxyOnTheWay, MayBeHttpWithAPassword) {
  const auto process = ProxyProcess::tinyproxy({.user = "device", .password = "secret"});
  auto proxy = at("http", process);
  proxy.login = login("secret");
  expect_way(std::move(proxy));
}

TEST_F(AProxyOnTheWay, MayBeHttps) {
  const auto& server_files = Cas::instance().server;
  const auto behind = ProxyProcess::tinyproxy({.user = "device", .password = "secret"});
  const auto process = ProxyProcess::https(behind, server_files.certificate, server_files.key);
  auto proxy = at("https", process);
  proxy.login = login("secret");
  proxy.anchors = certificates(Cas::instance().pki.ca("operator").certificate_pem);
  expect_way(std::move(proxy));
}

TEST_F(AProxyOnTheWay, MayBeSocks5WithAPasswordAndResolveTheNames) {
  const auto process = ProxyProcess::microsocks({.user = "device", .password = "secret"});
  auto proxy = at("socks5", process);
  proxy.login = login("secret");
  expect_way(std::move(proxy));

  auto by_name = at("socks5", process);
  by_name.login = login("secret");
  auto spec = session_spec(server, device);
  spec.endpoint = need(Endpoint::parse("https://nobody-but-the-proxy.invalid"));
  spec.proxy = std::move(by_name);
  const auto answer = need(Session::create(std::move(spec)))->ca_certificates();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::proxy_failed)
      << "the name was not left to the proxy: " << answer.error().sentence();
}

TEST_F(AProxyOnTheWay, IsPassedByForAnException) {
  Proxy nowhere{.url = "http://127.0.0.1:1", .login = {}, .exceptions = {"127.0.0.0/8"}, .anchors = {}};
  expect_way(std::move(nowhere));
}

TEST_F(AProxyOnTheWay, IsNotToBlameForAnExceptionOrForTheServer) {
  auto spec = session_spec(server, device);
  spec.endpoint = need(Endpoint::parse("https://127.0.0.1:1"));
  spec.proxy = Proxy{.url = "http://127.0.0.1:1", .login = {}, .exceptions = {"127.0.0.1"}, .anchors = {}};
  EXPECT_EQ(need(Session::create(std::move(spec)))->ca_certificates().error().code, Errc::network_unreachable);

  const auto process = ProxyProcess::tinyproxy();
  auto strange = session_spec(server, device);
  strange.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  strange.proxy = at("http", process);
  EXPECT_EQ(need(Session::create(std::move(strange)))->ca_certificates().error().code, Errc::tls_untrusted);
}

TEST_F(AProxyOnTheWay, IsNamedWhereItWantsAnotherPassword) {
  const auto http = ProxyProcess::tinyproxy({.user = "device", .password = "another"});
  const auto socks = ProxyProcess::microsocks({.user = "device", .password = "another"});
  for (const bool with_login : {true, false}) {
    auto first = at("http", http);
    auto second = at("socks5", socks);
    if (with_login) {
      first.login = login("secret");
      second.login = login("secret");
    }
    expect_failure(std::move(first), "does not accept this device", Retry::after_operator);
    expect_failure(std::move(second), "does not accept this device", Retry::after_operator);
  }
}

TEST_F(AProxyOnTheWay, IsNamedWhereItRefuses) {
  const auto process = ProxyProcess::tinyproxy({}, 1);
  expect_failure(at("http", process), "does not let this device through", Retry::after_operator);
}

TEST_F(AProxyOnTheWay, IsNamedWhereItCannotBeReached) {
  for (const auto* scheme : {"http", "https", "socks5"}) {
    expect_failure({.url = std::string(scheme) + "://127.0.0.1:1", .login = {}, .exceptions = {}, .anchors = {}},
                   "cannot be reached", Retry::later);
    expect_failure({.url = std::string(scheme) + "://proxy.invalid:1", .login = {}, .exceptions = {}, .anchors = {}},
                   "cannot be resolved", Retry::later);
  }
}

TEST_F(AProxyOnTheWay, IsNotBelievedToBeOneByTheServersAnchors) {
  const auto& server_files = Cas::instance().server;
  const auto behind = ProxyProcess::tinyproxy();
  const auto process = ProxyProcess::https(behind, server_files.certificate, server_files.key);
  auto proxy = at("https", process);
  proxy.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  expect_failure(std::move(proxy), "is not trusted", Retry::after_operator);
  expect_failure(at("https", process), "is not trusted", Retry::after_operator);
}

TEST_F(AProxyOnTheWay, DoesNotVouchForTheServer) {
  const auto& server_files = Cas::instance().server;
  const auto behind = ProxyProcess::tinyproxy();
  const auto process = ProxyProcess::https(behind, server_files.certificate, server_files.key);
  auto proxy = at("https", process);
  proxy.anchors = certificates(Cas::instance().pki.ca("operator").certificate_pem);
  auto spec = session_spec(server, device);
  spec.anchors = certificates(Cas::instance().pki.ca("stranger").certificate_pem);
  spec.proxy = std::move(proxy);
  const auto answer = need(Session::create(std::move(spec)))->ca_certificates();
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Errc::tls_untrusted) << answer.error().sentence();
}

TEST_F(AProxyOnTheWay, IsUsedAtTheFirstContactToo) {
  const auto process = ProxyProcess::tinyproxy();
  const auto fetched =
      fetch_unverified({.endpoint = need(Endpoint::parse(server.url())), .proxy = at("http", process)});
  ASSERT_TRUE(fetched) << fetched.error().sentence();
  EXPECT_NE(process.log().find("CONNECT"), std::string::npos);
}

/// HTTP/2 as a real server speaks it; behind it nobody sees the client's certificate.
TEST(Http2, CarriesAnEnrollment) {
  const auto& files = Cas::instance().server;
  auto with_login = server_spec();
  with_login.login = EstLogin{.scheme = EstLogin::Scheme::digest, .user = "device", .password = "secret"};
  const EstServer server(std::move(with_login));
  const auto front = ProxyProcess::http_2(server.port(), files.certificate, files.key);
  Device device;
  Key new_key(KeyAlgorithm::ec_p256);
  Requests requests(new_key.signing_key());
  for (const std::optional<BindingKind> kind : {std::optional<BindingKind>(), std::optional(BindingKind::tls_exporter),
                                                std::optional(BindingKind::tls_unique)}) {
    auto spec = session_spec(server, device);
    spec.endpoint = need(Endpoint::parse("https://" + front.address()));
    spec.authentication = PasswordLogin{.user = "device", .password = secret("secret")};
    spec.binding = kind;
    const auto session = need(Session::create(std::move(spec)));
    EXPECT_EQ(need(session->ca_certificates()).size(), 2U);
    const auto answer = session->simple_enroll(requests.source());
    ASSERT_TRUE(answer) << answer.error().sentence();
    EXPECT_TRUE(std::holds_alternative<Issued>(*answer));
    EXPECT_EQ(session->connections(), 1U);
    EXPECT_TRUE(server.requests().back().header("via").value_or("").starts_with("2 ")) << "this was not HTTP/2";
  }
  EXPECT_EQ(requests.bindings.size(), 3U);
}

}  // namespace
}  // namespace devid::est::test
