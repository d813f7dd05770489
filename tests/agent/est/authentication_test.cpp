#include "agent/est/authentication.h"

#include <gtest/gtest.h>

#include "base/bytes.h"

namespace devid::est {
namespace {

Secret secret(std::string_view text) { return Secret(as_bytes(text)); }

HttpAuthentication login(std::string user, std::string_view password) {
  return PasswordLogin{.user = std::move(user), .password = secret(password)};
}

TEST(AnAuthentication, MayBeNone) { EXPECT_TRUE(check(HttpAuthentication{})); }

TEST(AnAuthentication, IsAUserAndWhateverPassword) {
  EXPECT_TRUE(check(login("device-17", "correct horse: battery")));
  EXPECT_TRUE(check(login("gerät 17", "pässword")));
  EXPECT_TRUE(check(login("device-17", ""))) << "there are servers that look at the user alone";
}

TEST(AnAuthentication, IsNotWhatWouldBeAnotherHeaderOrAnotherUser) {
  for (const auto& [user, password] :
       std::vector<std::pair<std::string, std::string>>{{"", "secret"},
                                                        {"device:17", "secret"},
                                                        {"device\r\nX-Admin: 1", "secret"},
                                                        {"device", "secret\n"},
                                                        {"device", std::string("secret\0more", 11)},
                                                        {"device\x7f", "secret"}}) {
    const auto checked = check(login(user, password));
    ASSERT_FALSE(checked) << printable(user);
    EXPECT_EQ(checked.error().code, Errc::config_invalid);
    EXPECT_EQ(checked.error().sentence().find("secret"), std::string::npos) << "a password was shown";
  }
}

TEST(AnAuthentication, MayBeAToken) {
  EXPECT_TRUE(check(HttpAuthentication(BearerToken{secret("eyJhbGciOi.J9-_~+/=")})));
  for (const std::string_view token : {"", "two words", "token\n", "t\xc3\xb6ken"}) {
    const auto checked = check(HttpAuthentication(BearerToken{secret(token)}));
    ASSERT_FALSE(checked) << printable(token);
    EXPECT_EQ(checked.error().code, Errc::config_invalid);
  }
}

}  // namespace
}  // namespace devid::est
