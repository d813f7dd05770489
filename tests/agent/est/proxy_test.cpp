#include "agent/est/proxy.h"

#include <gtest/gtest.h>

namespace devid::est {
namespace {

Proxy at(std::string url) { return {.url = std::move(url), .login = {}, .exceptions = {}, .anchors = {}}; }

Proxy except(std::vector<std::string> exceptions) {
  return {.url = "http://proxy:3128", .login = {}, .exceptions = std::move(exceptions), .anchors = {}};
}

TEST(AProxy, IsHttpHttpsOrSocks5) {
  for (const auto* url : {"http://proxy.example:3128", "https://proxy.example:443/", "socks5://192.0.2.1:1080",
                          "http://[2001:db8::1]:8080"})
    EXPECT_TRUE(check(at(url))) << url;
}

TEST(AProxy, IsNothingElse) {
  for (const auto* url : {"",
                          "proxy.example:3128",
                          "proxy.example",
                          "ftp://proxy:21",
                          "socks4://proxy:1080",
                          "socks5h://proxy:1080",
                          "HTTP://proxy:1",
                          "http:/proxy:1",
                          "http://proxy",
                          "https://proxy",
                          "http://proxy:0",
                          "http://proxy:99999",
                          "http://user@proxy:1",
                          "http://user:word@proxy:1",
                          "http://proxy:1/path",
                          "http://proxy:1/?query",
                          "http://proxy:1/#fragment",
                          "http://pro xy:1",
                          "http://proxy:1\r\nX: y",
                          "http://:3128"}) {
    const auto checked = check(at(url));
    ASSERT_FALSE(checked) << url;
    EXPECT_EQ(checked.error().code, Errc::config_invalid) << url;
    EXPECT_EQ(checked.error().sentence().find('\n'), std::string::npos);
  }
}

TEST(AProxy, MayHaveAUserAndAPassword) {
  auto proxy = at("http://proxy:3128");
  proxy.login = ProxyLogin{.user = "device", .password = Secret(as_bytes("word"))};
  EXPECT_TRUE(check(proxy));
  proxy.login = ProxyLogin{.user = "", .password = Secret(as_bytes("word"))};
  EXPECT_FALSE(check(proxy));
  proxy.login = ProxyLogin{.user = "device", .password = Secret(as_bytes("word\n"))};
  EXPECT_FALSE(check(proxy));
}

TEST(AProxy, IsPassedByForItsExceptionsAlone) {
  const struct {
    const char* exception;
    const char* host;
    bool is_excepted;
  } table[] = {
      {"example.com", "example.com", true},
      {"example.com", "est.example.com", true},
      {"example.com", "EST.Example.COM", true},
      {"Example.Com.", "est.example.com.", true},
      {".example.com", "example.com", true},
      {".example.com", "est.example.com", true},
      {"example.com", "notexample.com", false},
      {"example.com", "example.com.evil", false},
      {"est.example.com", "example.com", false},
      {"", "example.com", false},
      {".", "example.com", false},
      {"*", "example.com", true},
      {"*", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.7", true},
      {"192.0.2.7", "192.0.2.77", false},
      {"2.7", "192.0.2.7", false},
      {"10.0.0.0/8", "10.255.0.1", true},
      {"10.0.0.0/8", "11.0.0.1", false},
      {"192.0.2.128/25", "192.0.2.129", true},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.4/30", "192.0.2.7", true},
      {"192.0.2.4/30", "192.0.2.8", false},
      {"0.0.0.0/0", "203.0.113.9", true},
      {"192.0.2.7/32", "192.0.2.6", false},
      {"192.0.2.7/33", "192.0.2.7", false},
      {"192.0.2.7/", "192.0.2.7", false},
      {"192.0.2.7/8x", "192.0.2.7", false},
      {"192.0.2.7/-1", "192.0.2.7", false},
      {"10.0.0.0/8", "10.example.com", false},
      {"fd00::/8", "fd12:3456::1", true},
      {"fd00::/8", "fe80::1", false},
      {"2001:db8::1", "2001:DB8:0::1", true},
      {"2001:db8::/129", "2001:db8::1", false},
      {"0.0.0.0/0", "2001:db8::1", false},
  };
  for (const auto& row : table)
    EXPECT_EQ(is_excepted(except({"other.invalid", row.exception}), row.host), row.is_excepted)
        << row.exception << " and " << row.host;
  EXPECT_FALSE(is_excepted(except({}), "example.com"));
}

TEST(AnException, IsAHostADomainAnAddressOrANetwork) {
  for (const char* good : {"*", "example.net", ".example.net", "example.net.", "host", "a-1.b_2", "192.0.2.7",
                           "10.0.0.0/8", "0.0.0.0/0", "fd00::/8", "::1", "2001:db8::7/128"})
    EXPECT_TRUE(check_exception(good)) << good;
  for (const char* bad : {"", ".", "..", "a..b", "10.0.0.0/99", "10.0.0/8", "10.0.0", "fd00::/129", "10.0.0.0/",
                          "10.0.0.0/8x", "http://x", "x:80", "[::1]", "*.example.net", "a b", "x/8"}) {
    const auto checked = check_exception(bad);
    ASSERT_FALSE(checked) << bad;
    EXPECT_EQ(checked.error().code, Errc::config_invalid);
    EXPECT_FALSE(checked.error().hint.empty());
  }
}

}  // namespace
}  // namespace devid::est
