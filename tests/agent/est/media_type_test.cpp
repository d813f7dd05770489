#include "agent/est/media_type.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

TEST(AMediaType, IsReadWhateverItsCaseAndParameters) {
  const std::vector<std::pair<std::string, MediaType>> table = {
      {"application/pkcs7-mime", {"application/pkcs7-mime", {}}},
      {" Application/PKCS7-MIME ; ", {"application/pkcs7-mime", {}}},
      {"application/pkcs7-mime; smime-type=certs-only", {"application/pkcs7-mime", {{"smime-type", "certs-only"}}}},
      {"application/pkcs7-mime;SMIME-Type=\"certs-only\";name=x.p7c",
       {"application/pkcs7-mime", {{"smime-type", "certs-only"}, {"name", "x.p7c"}}}},
      {"a/b; x=\"1;2\"; y = 3", {"a/b", {{"x", "1;2"}, {"y", "3"}}}},
      {R"(a/b; x="q\"q\\")", {"a/b", {{"x", R"(q"q\)"}}}},
      {"a/b; nothing; =1; x=", {"a/b", {{"x", ""}}}},
      {"a/b; x=1; X=2", {"a/b", {{"x", "1"}}}},
      {"a/b; x=\"never closed", {"a/b", {{"x", "\"never closed"}}}},
      {"a/b; x=\"\\", {"a/b", {{"x", "\"\\"}}}},
  };
  for (const auto& [text, expected] : table) {
    const auto type = MediaType::parse(text);
    ASSERT_TRUE(type) << text;
    EXPECT_EQ(type->name, expected.name) << text;
    EXPECT_EQ(type->parameters, expected.parameters) << text;
  }
}

TEST(AMediaType, IsNoneWithoutTypeAndSubtype) {
  for (const std::string text : {"", " ", ";", "application", "/", "application/", "/pkcs7-mime", "a b/c", "a/b c",
                                 "a/b/c", "a/b\x01", "\xff/\xff"})
    EXPECT_FALSE(MediaType::parse(text)) << text;
}

TEST(AMediaType, IsOfCertificatesUnlessItSaysOtherwise) {
  const auto is = [](std::string_view text) { return is_certs_only(*MediaType::parse(text)); };
  EXPECT_TRUE(is("application/pkcs7-mime"));
  EXPECT_TRUE(is("application/pkcs7-mime; smime-type=certs-only"));
  EXPECT_TRUE(is("application/pkcs7-mime; smime-type=\"Certs-Only\""));
  EXPECT_TRUE(is("application/pkcs7-mime; charset=us-ascii"));
  EXPECT_FALSE(is("application/pkcs7-mime; smime-type=server-generated-key"));
  EXPECT_FALSE(is("application/pkcs7-mime; smime-type="));
  EXPECT_FALSE(is("application/pkcs7"));
  EXPECT_FALSE(is("text/html; smime-type=certs-only"));
}

}  // namespace
}  // namespace devid::est
