#include "agent/est/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <thread>

#include "tests/support/http_server.h"

namespace devid::est {
namespace {

using namespace std::chrono_literals;
using SteadyClock = std::chrono::steady_clock;
using test::HttpPage;
using test::HttpServer;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;

class ADownload : public testing::Test {
 protected:
  [[nodiscard]] Result<Bytes> get(const std::string& url, std::size_t limit = 1000) const {
    return download({.url = url, .limit = limit}, spec);
  }
  static void expect_failed(const Result<Bytes>& body, Errc code, const std::string& text) {
    ASSERT_FALSE(body) << text;
    EXPECT_EQ(code_name(body.error().code), code_name(code)) << body.error().sentence();
    EXPECT_EQ(body.error().retry, Retry::later);
    EXPECT_THAT(body.error().sentence(), HasSubstr(text));
  }

  HttpServer server;
  DownloadSpec spec{.time = Seconds(10)};
};

TEST_F(ADownload, GetsABodyAsItIs) {
  const std::string body("with\0zeros\r\n\r\n\xff", 15);
  for (const bool chunked : {false, true}) {
    server.serve("/a.crl", {.body = body, .chunked = chunked});
    const auto got = get(server.url("/a.crl"));
    ASSERT_TRUE(got) << got.error().sentence();
    EXPECT_EQ(as_text(*got), body);
  }
  ASSERT_THAT(server.requests(), SizeIs(2));
  EXPECT_EQ(server.requests()[0].method, "GET");
  EXPECT_EQ(server.requests()[0].body, "");
  EXPECT_THAT(server.requests()[0].header("user-agent"), Optional(testing::StartsWith("devid/")));
  EXPECT_EQ(server.requests()[0].header("cookie"), std::nullopt);
  EXPECT_EQ(server.requests()[0].header("authorization"), std::nullopt);
}

TEST_F(ADownload, PostsABodyAsItIs) {
  const std::string body("0\0request", 9);
  server.serve("/ocsp", {.answer = [](const test::HttpRequest& request) { return "to " + request.body; }});
  const auto got = download({.url = server.url("/ocsp"),
                             .media_type = "application/ocsp-request",
                             .body = to_bytes(as_bytes(body)),
                             .limit = 100},
                            spec);
  ASSERT_TRUE(got) << got.error().sentence();
  EXPECT_EQ(as_text(*got), "to " + body);
  const auto request = server.requests().at(0);
  EXPECT_EQ(request.method, "POST");
  EXPECT_THAT(request.header("content-type"), Optional(std::string("application/ocsp-request")));
  EXPECT_THAT(request.header("content-length"), Optional(std::string("9")));
  EXPECT_EQ(request.header("expect"), std::nullopt);
}

TEST_F(ADownload, MayBeAsLongAsItsLimitAndNoLonger) {
  for (const bool chunked : {false, true}) {
    server.serve("/1000", {.body = std::string(1000, 'x'), .chunked = chunked});
    server.serve("/1001", {.body = std::string(1001, 'x'), .chunked = chunked});
    EXPECT_TRUE(get(server.url("/1000"), 1000));
    expect_failed(get(server.url("/1001"), 1000), Errc::answer_too_large, "it is longer than 1000 bytes");
  }
  spec.bytes = 500;
  expect_failed(get(server.url("/1000"), 1000), Errc::answer_too_large, "it is longer than 500 bytes");
  spec.bytes = 5000;
  expect_failed(get(server.url("/1001"), 1000), Errc::answer_too_large, "it is longer than 1000 bytes");
}

TEST_F(ADownload, HasAHeadOfSomeLength) {
  HttpPage page{.body = "x"};
  for (int i = 0; i < 100; ++i) page.headers.emplace_back("X-Long", std::string(1000, 'x'));
  server.serve("/", page);
  expect_failed(get(server.url("/")), Errc::answer_too_large, "it is longer than 65536 bytes of head");
}

TEST_F(ADownload, IsAnAnswerOnlyWithTheStatus200) {
  struct Case {
    unsigned status;
    Errc code;
  };
  for (const auto& [status, code] : std::vector<Case>{{204, Errc::server_protocol},
                                                      {206, Errc::server_protocol},
                                                      {304, Errc::server_protocol},
                                                      {400, Errc::server_refused},
                                                      {401, Errc::server_refused},
                                                      {404, Errc::server_refused},
                                                      {500, Errc::server_unavailable},
                                                      {503, Errc::server_unavailable}}) {
    server.serve("/", {.status = status});
    expect_failed(get(server.url("/")), code, "HTTP status " + std::to_string(status));
  }
}

TEST_F(ADownload, FollowsThreeRedirects) {
  server.serve("/3", {.body = "here"});
  server.serve("/2", {.status = 308, .headers = {{"Location", "3"}}});
  server.serve("/1", {.status = 302, .headers = {{"Location", "/2"}}});
  server.serve("/0", {.status = 301, .headers = {{"Location", server.url("/1")}}});
  server.serve("/more", {.status = 307, .headers = {{"Location", "/0"}}});
  server.serve("/round", {.status = 307, .headers = {{"Location", "/round"}}});
  const auto got = get(server.url("/0"));
  ASSERT_TRUE(got) << got.error().sentence();
  EXPECT_EQ(as_text(*got), "here");
  expect_failed(get(server.url("/more")), Errc::server_protocol, "/more (it is redirected too often)");
  server.forget();
  expect_failed(get(server.url("/round")), Errc::server_protocol, "cannot fetch");
  EXPECT_THAT(server.requests(), SizeIs(4));
}

TEST_F(ADownload, StaysAPostOnItsWay) {
  server.serve("/to", {.answer = [](const test::HttpRequest& request) { return request.method + request.body; }});
  server.serve("/from", {.status = 302, .headers = {{"Location", "/to"}}});
  const auto got =
      download({.url = server.url("/from"), .media_type = "a/b", .body = to_bytes(as_bytes("it")), .limit = 9}, spec);
  ASSERT_TRUE(got) << got.error().sentence();
  EXPECT_EQ(as_text(*got), "POSTit");
}

TEST_F(ADownload, IsNotLedToAnotherSchemeOrIntoAnAccount) {
  const std::string host = "127.0.0.1:" + std::to_string(server.port());
  server.serve("/secret", {.body = "secret"});
  for (const std::string& to :
       {"https://" + host + "/secret", std::string("file:///etc/passwd"), "ftp://" + host + "/secret",
        "gopher://" + host + "/secret", "http://user:password@" + host + "/secret", "//user@" + host + "/secret",
        std::string("http://127.0.0.1:0/")}) {
    server.serve("/", {.status = 302, .headers = {{"Location", to}}});
    server.forget();
    const auto got = get(server.url("/"));
    ASSERT_FALSE(got) << to;
    EXPECT_EQ(code_name(got.error().code), "AnswerMalformed") << to << ": " << got.error().sentence();
    EXPECT_THAT(server.requests(), SizeIs(1)) << to;
  }
}

TEST_F(ADownload, UsesOnlyUrlsThatCannotHarm) {
  for (const char* url : {"http://host", "http://host/", "HTTP://host:8080/a?b=c", "http://192.0.2.1/crl",
                          "http://[2001:db8::1]:1234/", "http://localhost/", "http://host/%0d%0a"})
    EXPECT_TRUE(check_download_url(url)) << url;
  for (const std::string& url : {std::string(),
                                 std::string("https://host/"),
                                 std::string("ldap://host/"),
                                 std::string("file:///etc/passwd"),
                                 std::string("http:/host/"),
                                 std::string("http://"),
                                 std::string("http:///path"),
                                 std::string("http://:80/"),
                                 std::string("http://user@host/"),
                                 std::string("http://user:password@host/"),
                                 std::string("http://:x@host/"),
                                 std::string("http://host:0/"),
                                 std::string("http://host:65536/"),
                                 std::string("http://host:x/"),
                                 std::string("http://[fe80::1%25eth0]/"),
                                 std::string("http://host/a b"),
                                 std::string("http://host/\r\nX: y"),
                                 std::string("http://host/\0", 13),
                                 std::string("http://h\xc3\xb6st/"),
                                 std::string("host/path"),
                                 "http://host/" + std::string(2048, 'x')}) {
    const auto checked = check_download_url(url);
    ASSERT_FALSE(checked) << printable(url);
    EXPECT_EQ(checked.error().code, Errc::answer_malformed) << printable(url);
    expect_failed(get(url), Errc::answer_malformed, "in a certificate cannot be used");
  }
}

TEST_F(ADownload, UsesNoProxyOfTheEnvironment) {
  const HttpServer proxy;
  ::setenv("http_proxy", proxy.url("/").c_str(), 1);
  ::setenv("ALL_PROXY", proxy.url("/").c_str(), 1);
  server.serve("/", {.body = "direct"});
  const auto got = get(server.url("/"));
  ::unsetenv("http_proxy");
  ::unsetenv("ALL_PROXY");
  ASSERT_TRUE(got) << got.error().sentence();
  EXPECT_EQ(as_text(*got), "direct");
  EXPECT_THAT(proxy.requests(), IsEmpty());
}

TEST_F(ADownload, TakesNoLongerThanItMayRedirectsIncluded) {
  spec.time = Seconds(2);
  server.serve("/slow", {.body = "late", .delay = 20s});
  server.serve("/", {.status = 302, .delay = 1900ms, .headers = {{"Location", "/slow"}}});
  for (const char* path : {"/slow", "/"}) {
    const auto begin = SteadyClock::now();
    expect_failed(get(server.url(path)), Errc::network_timeout, "cannot fetch http://127.0.0.1:");
    EXPECT_LT(SteadyClock::now() - begin, 3500ms) << path;
  }
}

TEST_F(ADownload, EndsSoonAfterItIsCancelled) {
  server.serve("/slow", {.body = "late", .delay = 20s});
  const auto begin = SteadyClock::now();
  spec.cancelled = [begin] { return SteadyClock::now() - begin > 200ms; };
  expect_failed(get(server.url("/slow")), Errc::cancelled, "cancelled");
  EXPECT_LT(SteadyClock::now() - begin, 5s);
}

TEST_F(ADownload, SaysWhatIsWrongWithTheNetwork) {
  std::string nobody;
  {
    const HttpServer gone;
    nobody = gone.url("/crl");
  }
  expect_failed(get(nobody), Errc::network_unreachable, "cannot fetch " + nobody);
  server.serve("/cut", {.body = "0123456789", .cut_after = 5});
  expect_failed(get(server.url("/cut")), Errc::network_unreachable, "cannot fetch");
  server.serve("/cut", {.body = "0123456789", .chunked = true, .cut_after = 5});
  expect_failed(get(server.url("/cut")), Errc::network_unreachable, "cannot fetch");
}

}  // namespace
}  // namespace devid::est
