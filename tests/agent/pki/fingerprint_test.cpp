#include "agent/pki/fingerprint.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/support/certificate_of.h"
#include "tests/support/command.h"
#include "tests/support/test_pki.h"

namespace devid::pki {
namespace {

TEST(AFingerprint, IsReadAsOpensslPrintsIt) {
  test::TestPki pki;
  const auto ca = pki.make_ca("root");
  const std::string printed = test::output_of(
      {.argv = {"openssl", "x509", "-noout", "-fingerprint", "-sha256", "-in", ca.certificate.string()}});
  const auto parsed = parse_fingerprint(printed.substr(printed.find('=') + 1, 95));
  ASSERT_TRUE(parsed) << printed;
  EXPECT_EQ(*parsed, test::certificate_of(ca.certificate_pem).fingerprint());
}

TEST(AFingerprint, MayHaveColonsBlanksAndCapitals) {
  const std::string plain = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
  for (const char* text :
       {"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789ABCDEF",
        " 01234567 89abcdef 01234567 89abcdef\t01234567 89abcdef 01234567 89abcdef ",
        "01:23:45:67:89:AB:CD:EF:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef:01:23:45:67:89:ab:cd:ef"}) {
    const auto parsed = parse_fingerprint(text);
    ASSERT_TRUE(parsed) << text;
    EXPECT_EQ(*parsed, plain);
  }
}

TEST(AFingerprint, IsRefusedUnlessItIsThereInFull) {
  const std::string part(63, 'a');
  const std::pair<std::string, const char*> cases[] = {{"", "it has 0 digits"},
                                                       {"::::", "it has 0 digits"},
                                                       {"0123456789abcdef0123456789abcdef01234567", "it has 40 digits"},
                                                       {part, "it has 63 digits"},
                                                       {part + "aa", "more than 64"},
                                                       {std::string(1'000'000, 'a'), "more than 64"},
                                                       {part + "g", "other characters"},
                                                       {part + "\n", "other characters"},
                                                       {part + std::string(1, '\0'), "other characters"},
                                                       {part + "\xc3\xa9", "other characters"},
                                                       {"sha256:" + part + "a", "other characters"}};
  for (const auto& [text, reason] : cases) {
    const auto parsed = parse_fingerprint(text);
    ASSERT_FALSE(parsed) << reason;
    EXPECT_EQ(parsed.error().code, Errc::usage);
    EXPECT_THAT(parsed.error().reason, testing::HasSubstr(reason));
  }
}

}  // namespace
}  // namespace devid::pki
