#include "tokens/tpm/location.h"

#include <gtest/gtest.h>

namespace devid::tpm {
namespace {

TEST(ALocation, OfAKeyIsAPersistentHandle) {
  EXPECT_EQ(*parse_handle("handle:0x81020000"), 0x81020000U);
  EXPECT_EQ(*parse_handle("handle:0x8100000F"), 0x8100000fU);
  EXPECT_EQ(handle_location(0x81020000), "handle:0x81020000");
  for (const char* text : {"", "handle:", "handle:0x", "0x81020000", "handle:81020000", "handle:0x80000000",
                           "handle:0x01c90200", "handle:0x8102000g", "handle:0x81020000 ", "handle:0x181020000",
                           "handle:0x-1", "handle:0x+81020000", "nv:0x81020000", "HANDLE:0x81020000"}) {
    const auto handle = parse_handle(text);
    ASSERT_FALSE(handle) << text;
    EXPECT_EQ(handle.error().code, Errc::usage) << text;
    EXPECT_NE(handle.error().hint.find("handle:0x81020000"), std::string::npos);
  }
}

TEST(ALocation, OfACertificateIsAnNvIndex) {
  EXPECT_EQ(*parse_nv_index("nv:0x01c90200"), 0x01c90200U);
  EXPECT_EQ(*parse_nv_index("nv:0x1C90200"), 0x01c90200U);
  for (const char* text :
       {"", "nv:", "nv:0x", "nv:0x81020000", "nv:0x02000000", "nv:0x01c9020000", "handle:0x01c90200"}) {
    const auto index = parse_nv_index(text);
    ASSERT_FALSE(index) << text;
    EXPECT_EQ(index.error().code, Errc::usage) << text;
  }
}

}  // namespace
}  // namespace devid::tpm
