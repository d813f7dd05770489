#include "agent/est/refusal.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

using namespace std::chrono_literals;

Answer answer(long status, const std::string& type, const std::string& body) {
  Answer out{.status = status, .headers = {}, .body = WipedText(body)};
  if (!type.empty()) out.headers["content-type"] = type;
  return out;
}

TEST(ARefusal, IsToldByItsStatus) {
  struct Case {
    long status;
    Errc code;
    Retry retry;
  };
  const std::vector<Case> table = {
      {400, Errc::server_refused, Retry::after_operator},      {401, Errc::server_unauthorized, Retry::after_operator},
      {403, Errc::server_unauthorized, Retry::after_operator}, {404, Errc::server_refused, Retry::after_operator},
      {405, Errc::server_refused, Retry::after_operator},      {408, Errc::server_unavailable, Retry::later},
      {415, Errc::server_refused, Retry::after_operator},      {429, Errc::server_unavailable, Retry::later},
      {499, Errc::server_refused, Retry::after_operator},      {500, Errc::server_unavailable, Retry::later},
      {501, Errc::server_unavailable, Retry::later},           {503, Errc::server_unavailable, Retry::later},
      {599, Errc::server_unavailable, Retry::later},           {204, Errc::server_protocol, Retry::after_operator},
      {206, Errc::server_protocol, Retry::after_operator},     {304, Errc::server_protocol, Retry::after_operator},
      {600, Errc::server_protocol, Retry::after_operator},     {999, Errc::server_protocol, Retry::after_operator},
  };
  for (const auto& [status, code, retry] : table) {
    const Error error = refusal(answer(status, "text/plain", "because"));
    EXPECT_EQ(error.code, code) << status;
    EXPECT_EQ(error.retry, retry) << status;
    EXPECT_EQ(error.what, "the server answers with status " + std::to_string(status));
    EXPECT_EQ(error.reason, "because");
    EXPECT_FALSE(error.hint.empty()) << status;
    EXPECT_FALSE(error.retry_after);
  }
}

TEST(ARefusal, IsAboutWhoThisDeviceIsWhereThatIsWhatTheServerDoesNotLike) {
  const Introduction introduction{.login = Introduction::Login::token};
  EXPECT_NE(refusal(answer(401, "", ""), introduction).hint.find("bearer token"), std::string::npos);
  EXPECT_NE(refusal(answer(403, "", ""), introduction).hint.find("bearer token"), std::string::npos);
  EXPECT_EQ(refusal(answer(404, "", ""), introduction).hint, refusal(answer(404, "", "")).hint);
  EXPECT_EQ(refusal(answer(400, "", ""), introduction).hint, refusal(answer(400, "", "")).hint);
}

TEST(ARefusal, KeepsTheServersAdvice) {
  Answer busy = answer(503, "", "");
  busy.headers["retry-after"] = "77";
  EXPECT_EQ(refusal(busy).retry_after, 77s);
}

TEST(ARefusal, QuotesTheServerInOneHarmlessLine) {
  using namespace std::string_literals;
  const std::vector<std::pair<Answer, std::string>> table = {
      {answer(400, "text/plain", "not\r\n  today \n"), "not today"},
      {answer(400, "text/plain; charset=utf-8", "no\0"s), "no"},
      {answer(400, "", "no type"), "no type"},
      {answer(400, "TEXT/PLAIN", "\x1b[31mred\x07"), "\\x1b[31mred\\x07"},
      {answer(400, "application/json", R"({"error": "barred"})"), R"({"error": "barred"})"},
      {answer(400, "application/problem+json", R"({"title": "x"})"), R"({"title": "x"})"},
      {answer(400, "text/html", "<html><h1>Bad</h1>\n<p class=\"a\">request</p></html>"), "Bad request"},
      {answer(400, "text/html", "5 <never closed"), "5"},
      {answer(400, "image/png", "\x89PNG"), ""},
      {answer(400, "application/octet-stream", "text"), ""},
      {answer(400, "text/plain", " \n\t "), ""},
  };
  for (const auto& [given, expected] : table) EXPECT_EQ(text_of(given), expected) << given.body;
}

TEST(ARefusal, QuotesNoMoreThan500Bytes) {
  const std::string text = text_of(answer(400, "text/plain", std::string(1000000, 'a')));
  EXPECT_EQ(text, std::string(500, 'a') + "…");
}

}  // namespace
}  // namespace devid::est
