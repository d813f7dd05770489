#include "agent/est/redirect.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

const Request get{.url = "https://est.example:8443/.well-known/est/l/cacerts", .accept = "a/b", .content = {}};
const Request post{.url = "https://est.example:8443/.well-known/est/l/simpleenroll",
                   .accept = "a/b",
                   .content = Content{.type = "application/pkcs10", .source = ready_made({})}};

Answer redirect(long status, const std::string& location) {
  return {.status = status, .headers = {{"location", location}}};
}

TEST(ARedirect, IsOneOfFiveStatuses) {
  for (const long status : {301, 302, 303, 307, 308}) EXPECT_TRUE(is_redirect({.status = status})) << status;
  for (const long status : {200, 202, 300, 304, 305, 306, 309, 404}) EXPECT_FALSE(is_redirect({.status = status}));
}

TEST(ARedirect, IsFollowedWithinTheOrigin) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"https://est.example:8443/there", "https://est.example:8443/there"},
      {"HTTPS://EST.EXAMPLE:8443/there?x=1#part", "https://est.example:8443/there?x=1"},
      {"/there", "https://est.example:8443/there"},
      {"there", "https://est.example:8443/.well-known/est/l/there"},
      {"../m/cacerts", "https://est.example:8443/.well-known/est/m/cacerts"},
      {"../../../../../x", "https://est.example:8443/x"},
      {"//est.example:8443/x", "https://est.example:8443/x"},
      {"?x", "https://est.example:8443/.well-known/est/l/cacerts?x"},
  };
  for (const auto& [location, expected] : table) {
    const auto next = follow(get, redirect(302, location));
    ASSERT_TRUE(next) << location << ": " << next.error().sentence();
    EXPECT_EQ(next->url, expected) << location;
    EXPECT_EQ(next->accept, "a/b");
    EXPECT_FALSE(next->content);
  }
}

TEST(ARedirect, IsNeverFollowedOutOfTheOrigin) {
  const std::vector<std::string> table = {
      "",
      "https://est.example/there",
      "https://est.example:8444/there",
      "https://other.example:8443/there",
      "https://est.example.other.example:8443/",
      "https://est.example:8443@other.example/",
      "https://user@est.example:8443/",
      "http://est.example:8443/there",
      "//other.example:8443/x",
      "https:/est.example:8443/there",
      "https:///est.example:8443/there",
      "//est.example/x",
      "ftp://est.example:8443/x",
      "file:///etc/passwd",
      "javascript:alert(1)",
      "https://",
      "/there\r\nX: y",
      "/th\xc3\xa9re",
      std::string(5000, 'a'),
  };
  for (const auto& location : table) {
    const auto next = follow(get, redirect(307, location));
    ASSERT_FALSE(next) << location << " led to " << next->url;
    EXPECT_EQ(next.error().code, Errc::server_protocol) << location;
    EXPECT_LT(next.error().reason.size(), 300U) << location;
  }
}

TEST(ARedirect, KeepsAPostAPost) {
  for (const long status : {307, 308}) {
    const auto next = follow(post, redirect(status, "/there"));
    ASSERT_TRUE(next) << status;
    EXPECT_TRUE(next->content);
  }
  for (const long status : {301, 302, 303}) {
    const auto next = follow(post, redirect(status, "/there"));
    ASSERT_FALSE(next) << status;
    EXPECT_EQ(next.error().code, Errc::server_protocol);
  }
}

}  // namespace
}  // namespace devid::est
