#include "base/error.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

namespace devid {
namespace {

using testing::ElementsAreArray;

TEST(AnErrorCode, HasANameThatNeverChanges) {
  // Public names: D-Bus errors, journal fields. Add at the right place, change none.
  const std::vector<std::string_view> names = {
      "Usage",
      "NoSuchIdentity",
      "WrongState",
      "NotAuthorized",
      "ConfigMissing",
      "ConfigSyntax",
      "ConfigInvalid",
      "TokenUnreachable",
      "TokenNotReady",
      "TokenLockedOut",
      "TokenAuthFailed",
      "TokenNoSuchKey",
      "TokenWrongKey",
      "TokenUnsupported",
      "TokenModule",
      "TokenAmbiguous",
      "TokenReadOnly",
      "TokenFull",
      "TokenFailed",
      "IdevidMissing",
      "IdevidExpired",
      "IdevidMismatch",
      "NetworkUnreachable",
      "NetworkTimeout",
      "TlsUntrusted",
      "TlsFailed",
      "ProxyFailed",
      "TrustMissing",
      "ServerUnavailable",
      "ServerRefused",
      "ServerUnauthorized",
      "ServerProtocol",
      "AnswerTooLarge",
      "AnswerMalformed",
      "DemandUnmet",
      "CertificateWrongKey",
      "CertificateUntrusted",
      "CertificateNotValidNow",
      "CertificateIsCa",
      "CertificateWrongUsage",
      "CertificateWrongName",
      "CertificateUnchanged",
      "CertificateRefused",
      "CertificateRevoked",
      "RevocationUnknown",
      "StorageFailed",
      "StateCorrupt",
      "Cancelled",
      "Internal",
  };
  std::vector<std::string_view> found;
  for (const Errc code : all_error_codes()) found.push_back(code_name(code));
  EXPECT_THAT(found, ElementsAreArray(names));
  EXPECT_EQ(std::set<std::string_view>(found.begin(), found.end()).size(), found.size());
}

TEST(AnErrorCode, OfNoKnownValueIsInternal) { EXPECT_EQ(code_name(static_cast<Errc>(9999)), "Internal"); }

TEST(RetryAdvice, HasAName) {
  EXPECT_EQ(retry_name(Retry::never), "never");
  EXPECT_EQ(retry_name(Retry::later), "later");
  EXPECT_EQ(retry_name(Retry::after_operator), "after-operator");
}

TEST(AnError, IsASentence) {
  EXPECT_EQ((Error{.what = "cannot open x", .reason = "no such file"}).sentence(), "cannot open x (no such file)");
  EXPECT_EQ((Error{.what = "cannot open x"}).sentence(), "cannot open x");
  EXPECT_EQ((Error{.what = "cannot\nopen", .reason = "\x1b[2Jno"}).sentence(), R"(cannot\x0aopen (\x1b[2Jno))");
}

TEST(AnError, KeepsEverythingButItsSentenceOnTheWayUp) {
  const Error low = {.code = Errc::token_locked_out,
                     .retry = Retry::later,
                     .what = "locked",
                     .reason = "0x921",
                     .hint = "wait",
                     .retry_after = std::chrono::seconds(600)};
  const Error high = while_doing("create the key", low);
  EXPECT_EQ(high.sentence(), "cannot create the key: locked (0x921)");
  EXPECT_EQ(high.code, low.code);
  EXPECT_EQ(high.retry, low.retry);
  EXPECT_EQ(high.hint, low.hint);
  EXPECT_EQ(high.retry_after, low.retry_after);
}

TEST(ForeignText, IsEscapedWhereItCouldHarm) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> texts = {
      {"", ""},
      {"plain ~ text", "plain ~ text"},
      {"Gerät ✓ 鍵 😀", "Gerät ✓ 鍵 😀"},
      {"a\0b"s, R"(a\x00b)"},
      {"a\tb\r\n", R"(a\x09b\x0d\x0a)"},
      {"\x1b[31mred\x7f", R"(\x1b[31mred\x7f)"},
      {"\xc2\x9b"
       "31m",
       R"(\xc2\x9b31m)"},        // C1: CSI in one character
      {"\xc2\xa0", "\xc2\xa0"},  // no-break space
      {"a\xe2\x80\xae"
       "b",
       R"(a\xe2\x80\xaeb)"},  // right-to-left override
      {"\xe2\x81\xa6x\xe2\x81\xa9", R"(\xe2\x81\xa6x\xe2\x81\xa9)"},
      {"\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c", R"(\xe2\x80\x8e\xe2\x80\x8f\xd8\x9c)"},
      {"\xe2\x80\xa8\xe2\x80\xa9", R"(\xe2\x80\xa8\xe2\x80\xa9)"},  // line and paragraph separator
      {"\xe2\x80\x93\xe2\x80\xa6", "–…"},
      {"\xff\xfe", R"(\xff\xfe)"},
      {"\x80", R"(\x80)"},
      {"\xc0\xaf", R"(\xc0\xaf)"},  // overlong '/'
      {"\xe0\x80\xaf", R"(\xe0\x80\xaf)"},
      {"\xf0\x80\x80\xaf", R"(\xf0\x80\x80\xaf)"},
      {"\xed\xa0\x80", R"(\xed\xa0\x80)"},          // a surrogate
      {"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // beyond Unicode
      {"\xf5\x80\x80\x80", R"(\xf5\x80\x80\x80)"},
      {"\xe2\x82", R"(\xe2\x82)"},  // cut
      {"\xe2\x82x", R"(\xe2\x82x)"},
      {"\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf"},  // the last code point
  };
  for (const auto& [text, expected] : texts) EXPECT_EQ(printable(text), expected);
}

TEST(ForeignText, IsCutBetweenCharacters) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdef", 3), "abc…");
  EXPECT_EQ(printable("abä", 3), "ab…");
  EXPECT_EQ(printable(std::string(1000, 'x')).size(), 500 + std::string_view("…").size());
  EXPECT_LT(printable(std::string(1000, '\x01')).size(), 510U);
}

TEST(ForeignText, OfAnyTwoBytesNeverHoldsAControlCharacter) {
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text = {static_cast<char>(first), static_cast<char>(second)};
      for (const char c : printable(text)) EXPECT_FALSE((c >= 0 && c < 0x20) || c == 0x7f) << first << " " << second;
    }
  }
}

}  // namespace
}  // namespace devid
