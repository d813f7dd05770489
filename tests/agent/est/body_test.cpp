#include "agent/est/body.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

std::string decoded(std::string_view text) {
  const auto body = decode_body(text);
  EXPECT_TRUE(body) << text << ": " << body.error().sentence();
  return body ? std::string(as_text(*body)) : "(error)";
}

TEST(ABody, IsReadHoweverServersWriteIt) {
  using namespace std::string_literals;
  const std::vector<std::pair<std::string, std::string>> table = {
      {"", ""},
      {" \r\n", ""},
      {"\0"s, ""},
      {"Zg==", "f"},
      {"Zm8=", "fo"},
      {"Zm9v", "foo"},
      {"Zm9v\n", "foo"},
      {"Zm9v\r\n\0"s, "foo"},
      {"Zm9v\0\0\0"s, "foo"},
      {"Z m\t9\r\nv\v\f", "foo"},
      {"\n\nZm9vYmFy\n", "foobar"},
      {"Zm8=\n\n", "fo"},
      {"Zm8\n=", "fo"},
      {"-----BEGIN PKCS7-----\nZm9v\nYmFy\n-----END PKCS7-----\n", "foobar"},
      {"-----BEGIN CMS-----\r\nZm8=\r\n-----END CMS-----", "fo"},
      {"  -----BEGIN PKCS7-----Zm9v-----END PKCS7-----\0"s, "foo"},
  };
  for (const auto& [text, expected] : table) EXPECT_EQ(decoded(text), expected) << text;
}

TEST(ABody, IsMalformedWhereItIsNotBase64) {
  using namespace std::string_literals;
  const std::vector<std::string> table = {
      "Z",
      "Zm",
      "Zm8",
      "Zm9vY",
      "=",
      "====",
      "Zg===",
      "Z===",
      "Zg=v",
      "Zg==Zg==",
      "Zm9v*",
      "Zm9v-_8=",
      "Zm\0v"s,
      "\0Zm9v"s,
      "<html></html>",
      "\x30\x82\x01\x0a",
      "Zm9v\xff\xff\xff\xff",
      "-----BEGIN PKCS7-----\nZm9v\n",
      "-----BEGIN PKCS7-----\nZm9v\n-----END CMS-----\n",
      "-----BEGIN PKCS7-----\nProc-Type: 4,ENCRYPTED\n\nZm9v\n-----END PKCS7-----\n",
      "-----BEGIN A-----\nZm9v\n-----END A-----\n-----BEGIN A-----\nZm9v\n-----END A-----\n",
      "-----BEGIN ",
      "-----BEGIN -----",
      "Zm9v\n-----END PKCS7-----\n",
  };
  for (const auto& text : table) {
    const auto body = decode_body(text);
    ASSERT_FALSE(body) << text;
    EXPECT_EQ(body.error().code, Errc::answer_malformed) << text;
    EXPECT_EQ(body.error().retry, Retry::later) << text;
  }
}

TEST(ABody, SaysWhichDigitIsWrong) {
  const auto body = decode_body("Zm9v\nYm\x1b[1mFy");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().reason, "it has '\\x1b' at digit 6");
}

TEST(ABody, IsWrittenInLinesOf64) {
  const Bytes bytes(100, std::byte{0});
  const std::string text = encode_body(bytes);
  EXPECT_EQ(text, std::string(64, 'A') + "\r\n" + std::string(64, 'A') + "\r\n" + "AAAAAA==\r\n");
  EXPECT_EQ(encode_body({}), "");
}

TEST(ABody, ComesBackAsItWasWritten) {
  Bytes bytes;
  for (unsigned size = 0; size < 300; ++size) {
    const auto back = decode_body(encode_body(bytes));
    ASSERT_TRUE(back) << size;
    EXPECT_EQ(*back, bytes) << size;
    bytes.push_back(static_cast<std::byte>(size * 7));
  }
}

}  // namespace
}  // namespace devid::est
