#include "agent/est/endpoint.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

struct Good {
  std::string url;
  Endpoint endpoint;
};

TEST(AnEndpoint, IsNormalised) {
  const std::vector<Good> table = {
      {"https://est.example", {"https://est.example:443/.well-known/est", "est.example"}},
      {"https://est.example/", {"https://est.example:443/.well-known/est", "est.example"}},
      {"https://est.example:8443", {"https://est.example:8443/.well-known/est", "est.example"}},
      {"HTTPS://EST.Example:443", {"https://est.example:443/.well-known/est", "est.example"}},
      {"https://est.example/.well-known/est", {"https://est.example:443/.well-known/est", "est.example"}},
      {"https://est.example/.well-known/est/", {"https://est.example:443/.well-known/est", "est.example"}},
      {"https://est.example/.well-known/est/line-7", {"https://est.example:443/.well-known/est/line-7", "est.example"}},
      {"https://est.example/line-7", {"https://est.example:443/.well-known/est/line-7", "est.example"}},
      {"https://est.example/line-7/", {"https://est.example:443/.well-known/est/line-7", "est.example"}},
      {"https://est.example/.well-known/est/./line-7",
       {"https://est.example:443/.well-known/est/line-7", "est.example"}},
      {"https://est.example./x", {"https://est.example.:443/.well-known/est/x", "est.example"}},
      {"https://192.0.2.1:8443", {"https://192.0.2.1:8443/.well-known/est", "192.0.2.1"}},
      {"https://[2001:db8::1]:8443/l", {"https://[2001:db8::1]:8443/.well-known/est/l", "2001:db8::1"}},
  };
  for (const auto& [url, expected] : table) {
    const auto endpoint = Endpoint::parse(url);
    ASSERT_TRUE(endpoint) << url << ": " << endpoint.error().sentence();
    EXPECT_EQ(endpoint->base, expected.base) << url;
    EXPECT_EQ(endpoint->host, expected.host) << url;
  }
}

TEST(AnEndpoint, IsRefusedWhereItIsNotTheUrlOfAnEstServer) {
  using namespace std::string_literals;
  const std::vector<std::string> table = {
      "",
      "est.example",
      "//est.example",
      "http://est.example",
      "ftp://est.example",
      "file:///etc/passwd",
      "https://",
      "https:///.well-known/est",
      "https:/est.example",
      "HTTPS:est.example",
      "https://est.example:0",
      "https://est.example:65536",
      "https://est.example:port",
      "https://user@est.example",
      "https://user:secret@est.example",
      "https://est.example?x=1",
      "https://est.example/?",
      "https://est.example/.well-known/est?x",
      "https://est.example/#here",
      "https://est.example/a/b",
      "https://est.example/.well-known/est/a/b",
      "https://est.example/.well-known/est//",
      "https://est.example/.well-known/other",
      "https://est.example/.well-known",
      "https://est.example/.well-known/estate",
      "https://est.example/.well-known/est/simpleenroll",
      "https://est.example/cacerts",
      "https://est.example/.well-known/est/a%2Fb",
      "https://est.example/.well-known/est/%2e%2e",
      "https://est.example/.well-known/est/a b",
      "https://est.example/.well-known/est/\n",
      "https://est.example/.well-known/est/\"",
      "https://est.example/\0x"s,
      "https://\xc3\xa9st.example",
      "https://[fe80::1%25eth0]/",
      "https://[2001:db8::1",
      "https://est.example/" + std::string(5000, 'a'),
  };
  for (const auto& url : table) {
    const auto endpoint = Endpoint::parse(url);
    ASSERT_FALSE(endpoint) << url << " became " << endpoint->base;
    EXPECT_EQ(endpoint.error().code, Errc::config_invalid) << url;
    EXPECT_EQ(endpoint.error().retry, Retry::after_operator) << url;
    EXPECT_FALSE(endpoint.error().reason.empty()) << url;
    EXPECT_LT(endpoint.error().sentence().size(), 700U) << url;
  }
}

TEST(AnEndpoint, SaysThatTheOperationDoesNotBelongIntoTheUrl) {
  const auto endpoint = Endpoint::parse("https://est.example/.well-known/est/simpleenroll");
  ASSERT_FALSE(endpoint);
  EXPECT_EQ(endpoint.error().hint, "leave the operation out: devid appends it");
}

}  // namespace
}  // namespace devid::est
