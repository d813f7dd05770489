#include "agent/est/reception.h"

#include <gtest/gtest.h>

namespace devid::est {
namespace {

TEST(AReception, KeepsTheHeadersThatMatterOfTheLastHead) {
  Reception reception(100);
  for (const auto* line :
       {"HTTP/1.1 401 Who\r\n", "WWW-Authenticate: Basic\r\n", "\r\n", "HTTP/1.1 200 OK\r\n",
        "CONTENT-Type:  a/b ; c=d \r\n", "Content-Type: second/one\r\n", "X-Other: z\r\n", "odd\r\n"})
    EXPECT_TRUE(reception.take_head(line));
  EXPECT_FALSE(reception.head_complete());
  EXPECT_TRUE(reception.take_head("\r\n"));
  EXPECT_TRUE(reception.head_complete());
  EXPECT_EQ(reception.answer.header("content-type"), "a/b ; c=d");
  EXPECT_EQ(reception.answer.header("www-authenticate"), "");
  EXPECT_EQ(reception.answer.headers.size(), 1U);
}

TEST(AReception, KeepsEveryChallenge) {
  Reception reception(100);
  for (const auto* line : {"HTTP/1.1 401 Who\r\n", "WWW-Authenticate: Negotiate\r\n", "Date: today\r\n",
                           "www-authenticate: Basic realm=\"x\"\r\n", "Date: tomorrow\r\n", "\r\n"})
    EXPECT_TRUE(reception.take_head(line));
  EXPECT_EQ(reception.answer.header("www-authenticate"), "Negotiate, Basic realm=\"x\"");
  EXPECT_EQ(reception.answer.header("date"), "today");
}

TEST(AReception, UnfoldsWhatIsFolded) {
  Reception reception(100);
  for (const auto* line :
       {"HTTP/1.1 401 Who\r\n", " Date: of nothing\r\n", "Content-Type:\r\n", "\ta/b;\r\n", "  c=d\r\n",
        "X-Other: z\r\n", " Date: of another\r\n", "Content-Type: second/one;\r\n", " e=f\r\n",
        "WWW-Authenticate: Basic\r\n", " realm=x\r\n", "WWW-Authenticate:\r\n", " Bearer\r\n", "odd\r\n", " y\r\n"})
    EXPECT_TRUE(reception.take_head(line));
  EXPECT_EQ(reception.answer.header("content-type"), "a/b; c=d");
  EXPECT_EQ(reception.answer.header("www-authenticate"), "Basic realm=x, Bearer");
  EXPECT_EQ(reception.answer.headers.size(), 2U);
  for (const auto* line : {"HTTP/1.1 200 OK\r\n", " of nothing\r\n", "\r\n"}) EXPECT_TRUE(reception.take_head(line));
  EXPECT_TRUE(reception.answer.headers.empty());
}

TEST(AReception, TakesNothingBehindTheBodyForAHeader) {
  Reception reception(100);
  for (const auto* line : {"HTTP/1.1 200 OK\r\n", "\r\n", "Content-Type: a/b\r\n"})
    EXPECT_TRUE(reception.take_head(line));
  EXPECT_TRUE(reception.answer.headers.empty());
}

TEST(AReception, EndsWhereTheHeadsAreTooLong) {
  Reception reception(100);
  const std::string line(1024, 'x');
  for (int i = 0; i < 64; ++i) EXPECT_TRUE(reception.take_head(line));
  EXPECT_FALSE(reception.head_too_large());
  EXPECT_FALSE(reception.take_head("x"));
  EXPECT_TRUE(reception.head_too_large());
}

TEST(AReception, CutsTheBodyAtItsLimit) {
  Reception reception(5);
  EXPECT_TRUE(reception.take_body("abc"));
  EXPECT_TRUE(reception.take_body("de"));
  EXPECT_FALSE(reception.answer.cut);
  EXPECT_FALSE(reception.take_body("f"));
  EXPECT_TRUE(reception.answer.cut);
  EXPECT_EQ(reception.answer.body, "abcde");
}

/// The head of a multipart answer.
void take_head(Reception& reception, std::string_view type = "Content-Type: multipart/mixed; boundary=b\r\n") {
  for (const auto line : {std::string_view("HTTP/1.1 200 OK\r\n"), type, std::string_view("\r\n")})
    EXPECT_TRUE(reception.take_head(line));
}

TEST(AReceptionToTheLastBoundary, EndsWithIt) {
  Reception reception(1000, BodyEnd::last_boundary);
  take_head(reception);
  for (const auto* piece : {"--b\r\n\r\n", "text\r\n", "--b--text\r\n", "--b", "\r\n\r\n", "text--b--\r\n", "--b-"})
    EXPECT_TRUE(reception.take_body(piece)) << piece;
  EXPECT_FALSE(reception.body_ended());
  EXPECT_FALSE(reception.take_body("-"));
  EXPECT_TRUE(reception.body_ended());
  EXPECT_FALSE(reception.answer.cut);
}

TEST(AReceptionToTheLastBoundary, GoesOnWithoutOne) {
  Reception plain(1000, BodyEnd::last_boundary);
  take_head(plain, "Content-Type: text/plain; boundary=b\r\n");
  EXPECT_TRUE(plain.take_body("--b\r\n\r\n--b--\r\n"));
  Reception other(1000, BodyEnd::last_boundary);
  take_head(other, "Content-Type: multipart/mixed\r\n");
  EXPECT_TRUE(other.take_body("--b\r\n\r\n--b--\r\n"));
  Reception announced(1000);
  EXPECT_TRUE(announced.take_head("Content-Type: multipart/mixed; boundary=b\r\n"));
  EXPECT_TRUE(announced.take_body("--b\r\n\r\n--b--\r\n"));
}

TEST(AReceptionToTheLastBoundary, IsCutAtItsLimitToo) {
  Reception reception(10, BodyEnd::last_boundary);
  take_head(reception);
  EXPECT_FALSE(reception.take_body("--b\r\n\r\n\r\n--b--"));
  EXPECT_TRUE(reception.answer.cut);
  EXPECT_FALSE(reception.body_ended());
}

}  // namespace
}  // namespace devid::est
