#include "agent/est/multipart.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::est {
namespace {

using namespace std::string_literals;
using testing::HasSubstr;

MediaType type_of(const std::string& boundary) {
  return {.name = "multipart/mixed", .parameters = {{"boundary", boundary}}};
}

Result<std::vector<Part>> split(std::string_view body, const std::string& boundary = "b") {
  return split_multipart(body, type_of(boundary));
}

/// The bodies of all parts, in brackets.
std::string bodies(std::string_view body, const std::string& boundary = "b") {
  const auto parts = split(body, boundary);
  if (!parts) return parts.error().sentence();
  std::string all;
  for (const Part& part : *parts) all.append("[").append(part.body).append("]");
  return all;
}

void expect_malformed(std::string_view body, const std::string& reason, const std::string& boundary = "b") {
  const auto parts = split(body, boundary);
  ASSERT_FALSE(parts) << body.substr(0, 100);
  EXPECT_EQ(parts.error().code, Errc::answer_malformed);
  EXPECT_EQ(parts.error().retry, Retry::later);
  EXPECT_THAT(parts.error().reason, HasSubstr(reason));
}

/// The answer of RFC 7030 A.4, with less in it.
const std::string of_the_standard =
    "This is the preamble.  It is to be ignored, though it\r\n"
    "is a handy place for estServer to include an explanatory note\r\n"
    "including contact or support information.\r\n"
    "--estServerExampleBoundary\r\n"
    "Content-Type: application/pkcs8\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDRQsGM7KCLDqpT\r\n"
    "\r\n"
    "--estServerExampleBoundary\r\n"
    "Content-Type: application/pkcs7-mime; smime-type=certs-only\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    "\r\n"
    "MIIDRQYJKoZIhvcNAQcCoIIDNjCCAzICAQExADALBgkqhkiG9w0BBwGgggMYMIID\r\n"
    "\r\n"
    "--estServerExampleBoundary--\r\n"
    "This is the epilogue.  It is also to be ignored.\r\n";

TEST(AMultipartBody, IsTakenApartAsTheStandardHasIt) {
  const auto type = MediaType::parse("Multipart/Mixed ; boundary=estServerExampleBoundary");
  ASSERT_TRUE(type);
  const auto parts = split_multipart(of_the_standard, *type);
  ASSERT_TRUE(parts) << parts.error().sentence();
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_EQ(parts->at(0).type.name, "application/pkcs8");
  EXPECT_EQ(parts->at(0).headers.at("content-transfer-encoding"), "base64");
  EXPECT_EQ(parts->at(0).body, "MIIEvgIBADANBgkqhkiG9w0BAQEFAASCBKgwggSkAgEAAoIBAQDRQsGM7KCLDqpT\r\n");
  EXPECT_EQ(parts->at(1).type.parameters.at("smime-type"), "certs-only");
}

TEST(AMultipartBody, IsReadHoweverServersWriteIt) {
  const std::vector<std::pair<std::string, std::string>> table = {
      {"--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", "[one][two]"},
      {"--b\n\none\n--b\n\ntwo\n--b--\n", "[one][two]"},
      {"--b\n\none\r\n--b\r\n\r\ntwo\n--b--", "[one][two]"},
      {"--b\n\none\n--b--\0\0"s, "[one]"},
      {"--b\n\none\n--b--and more", "(no last boundary)"},
      {"preamble\n--b\n\none\n--b--\nepilogue\n--b\n\nafter\n", "[one]"},
      {"--b \t\n\none\n--b-- \n", "[one]"},
      {"--b\nA: 1\n\n--b--", "[]"},
      {"--b\nA: 1\n--b--", "[]"},
      {"--b\n\n\n--b--", "[]"},
      {"--b\n--b--", "[]"},
      {"--b\n\na\n\nb\n\n--b--", "[a\n\nb\n]"},
      {"--b\n\nAAA--bAAA\nBB--b\n --b\n--bb\n--b-\n--B\n--b--", "[AAA--bAAA\nBB--b\n --b\n--bb\n--b-\n--B]"},
  };
  for (const auto& [body, expected] : table) {
    if (expected == "(no last boundary)") {
      expect_malformed(body, "last boundary is missing");
    } else {
      EXPECT_EQ(bodies(body), expected) << body;
    }
  }
}

TEST(AMultipartBody, HasPartsWithHeadersInAnyForm) {
  const auto parts = split(
      "--b\r\ncOnTeNt-TyPe:application/PKCS7-mime;\r\n\t smime-type=\"server-generated-key\"\r\nX:  one\r\n two\r\n"
      "X: other\r\n of other\r\nEmpty:\r\n\r\nbody\r\n--b--");
  ASSERT_TRUE(parts) << parts.error().sentence();
  const Part& part = parts->at(0);
  EXPECT_EQ(part.type.name, "application/pkcs7-mime");
  EXPECT_EQ(part.type.parameters.at("smime-type"), "server-generated-key");
  EXPECT_EQ(part.headers.at("x"), "one two");
  EXPECT_EQ(part.headers.at("empty"), "");
  EXPECT_EQ(part.body, "body");
}

TEST(AMultipartBody, HasOctetsInAPartThatDoesNotSayWhatItHas) {
  const auto parts = split("--b\n\nbody\n--b--");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->at(0).type.name, "application/octet-stream");
  EXPECT_TRUE(parts->at(0).headers.empty());
}

TEST(AMultipartBody, LeavesAnotherOneInItAlone) {
  EXPECT_EQ(bodies("--a\n\n--ab\n\ninner\n--ab--\n\n--a--", "a"), "[--ab\n\ninner\n--ab--\n]");
}

TEST(AMultipartBody, MayHaveAnOddBoundary) {
  EXPECT_EQ(bodies("--=_a b:'(c)?/\n\none\n--=_a b:'(c)?/--", "=_a b:'(c)?/"), "[one]");
  const std::string longest(70, 'x');
  EXPECT_EQ(bodies("--" + longest + "\n\none\n--" + longest + "--", longest), "[one]");
}

TEST(AMultipartBody, IsRefusedWithoutABoundaryThatCanBeOne) {
  const std::string body = "--b\n\none\n--b--";
  const auto none = split_multipart(body, {.name = "multipart/mixed", .parameters = {}});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Errc::answer_malformed);
  expect_malformed(body, "no boundary", "");
  expect_malformed(body, "longer than 70", std::string(71, 'b'));
  expect_malformed(body, "cannot have", "b ");
  expect_malformed(body, "cannot have", "b\n");
  expect_malformed(body, "cannot have", "b\x80");
  expect_malformed(body, "cannot have", "\0"s);
}

TEST(AMultipartBody, IsRefusedWhenItIsNotOne) {
  expect_malformed("", "not in it");
  expect_malformed("\0\0"s, "not in it");
  expect_malformed("one\ntwo", "not in it");
  expect_malformed("x--b\n\none\n--b--", "before its first part");
  expect_malformed("--b--", "before its first part");
  expect_malformed("--b", "last boundary is missing");
  expect_malformed("--b\n\none\n--b\n", "last boundary is missing");
  expect_malformed("--b\n\none--b--", "last boundary is missing");
  expect_malformed("--b\n folded\n\none\n--b--", "begins with a folded");
  expect_malformed("--b\nTUlJ\n\none\n--b--", "no colon");
  expect_malformed("--b\nContent-Type: nonsense\x1b[2J\n\none\n--b--", "no media type: nonsense\\x1b[2J");
}

TEST(AMultipartBody, IsRefusedWhenItIsCutAnywhere) {
  const std::string body = of_the_standard.substr(0, of_the_standard.find("Boundary--") + 10);
  for (std::size_t size = 0; size < body.size(); ++size) {
    const auto parts = split(body.substr(0, size), "estServerExampleBoundary");
    ASSERT_FALSE(parts) << size;
    ASSERT_EQ(parts.error().code, Errc::answer_malformed);
  }
  EXPECT_TRUE(split(body, "estServerExampleBoundary"));
}

TEST(AMultipartBody, MayBeLargeButNotHaveManyParts) {
  const std::string large(2U << 20U, 'A');
  EXPECT_EQ(bodies("--b\n\n" + large + "\n--b--"), "[" + large + "]");
  std::string many;
  for (int i = 0; i < 8; ++i) many += "--b\n\n" + std::to_string(i) + "\n";
  EXPECT_EQ(bodies(many + "--b--"), "[0][1][2][3][4][5][6][7]");
  expect_malformed("--b\n\nx\n" + many + "--b--", "more than 8 parts");
  for (int i = 0; i < 100; ++i) many += "--b\n\nx\n";
  expect_malformed(many, "more than 8 parts");
  std::string headers;
  for (int i = 0; i < 64; ++i) headers += "X: 1\n";
  EXPECT_EQ(bodies("--b\n" + headers + "\none\n--b--"), "[one]");
  expect_malformed("--b\n" + headers + "X: 1\n\none\n--b--", "more than 64 header lines");
  expect_malformed("--b\nX: 1\n" + std::string(2000, ' ').replace(1, 1, "\n") + "\n" + headers + "\none\n--b--",
                   "more than 64 header lines");
}

TEST(AMultipartBody, EndsWithItsLastBoundaryAndNothingElse) {
  const auto ends = [](const std::string& body) { return ends_with_last_boundary(body, type_of("b")); };
  for (const auto& body : {"--b--"s, "--b\n\none\n--b--"s, "--b\r\n\r\none\r\n--b--\r\n"s, "\n--b-- \t\r\n\n"s,
                           "\n--b--\0"s, std::string(300, 'A') + "\n--b--"})
    EXPECT_TRUE(ends(body)) << body;
  for (const auto& body : {""s, "--b-"s, "one--b--"s, "\n--b"s, "\n--b--x"s, "\n--b--\nepilogue"s, "\n --b--"s,
                           "\n--c--"s, std::string(300, 'A') + "--b--", "\n--b--" + std::string(300, ' '),
                           std::string(300, 'A') + std::string(251, ' ') + "--b--"})
    EXPECT_FALSE(ends(body)) << body;
  EXPECT_FALSE(ends_with_last_boundary("--b--", {.name = "text/plain", .parameters = {{"boundary", "b"}}}));
  EXPECT_FALSE(ends_with_last_boundary("----", type_of("")));
  const std::string longest(70, 'b');
  EXPECT_TRUE(ends_with_last_boundary("\n--" + longest + "--\r\n", type_of(longest)));
}

}  // namespace
}  // namespace devid::est
