#include "tokens/pkcs11/uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <string>

namespace devid::pkcs11 {
namespace {

using testing::HasSubstr;
using testing::Not;

template <std::size_t size>
void put(unsigned char (&field)[size], std::string_view text) {
  std::ranges::fill(field, ' ');
  std::ranges::copy(text, std::begin(field));
}

CK_TOKEN_INFO a_token() {
  CK_TOKEN_INFO token{};
  put(token.label, "dev one");
  put(token.manufacturerID, "ACME; Inc.");
  put(token.model, "HSM 9");
  put(token.serialNumber, "0001");
  return token;
}

TEST(AUri, MeansTheTokenThatItDescribes) {
  for (const char* text : {"pkcs11:", "pkcs11:token=dev%20one", "pkcs11:serial=0001",
                           "pkcs11:manufacturer=ACME%3B%20Inc.", "pkcs11:model=HSM%209;serial=0001;token=dev%20one"}) {
    const auto uri = Uri::parse(text, Errc::usage);
    ASSERT_TRUE(uri) << text << ": " << uri.error().sentence();
    EXPECT_TRUE(uri->matches(a_token())) << text;
  }
  for (const char* text : {"pkcs11:token=dev", "pkcs11:serial=1", "pkcs11:token=dev%20one;serial=0002"}) {
    const auto uri = Uri::parse(text, Errc::usage);
    ASSERT_TRUE(uri) << text;
    EXPECT_FALSE(uri->matches(a_token())) << text;
  }
}

TEST(AUri, MeansASlotByItsNumber) {
  const auto uri = Uri::parse("pkcs11:slot-id=7", Errc::usage);
  ASSERT_TRUE(uri);
  EXPECT_TRUE(uri->matches(7, CK_SLOT_INFO{}));
  EXPECT_FALSE(uri->matches(8, CK_SLOT_INFO{}));
  EXPECT_TRUE(Uri::parse("pkcs11:token=x", Errc::usage)->matches(8, CK_SLOT_INFO{}));
}

TEST(AUri, NamesAnObjectByIdAndLabel) {
  const auto uri = Uri::parse("pkcs11:id=%01%ff;object=my%20key;type=private", Errc::usage);
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->object(), (ObjectName{.id = {std::byte{1}, std::byte{0xff}}, .label = "my key"}));
  EXPECT_EQ(uri->type(), CKO_PRIVATE_KEY);
  const auto none = Uri::parse("pkcs11:token=x", Errc::usage);
  ASSERT_TRUE(none);
  EXPECT_EQ(none->object(), ObjectName{});
  EXPECT_EQ(none->type(), std::nullopt);
}

TEST(AUri, SaysWhereModuleAndPinAre) {
  const auto uri = Uri::parse("pkcs11:token=x?module-path=/usr/lib/m.so&pin-source=file:/etc/pin", Errc::usage);
  ASSERT_TRUE(uri);
  EXPECT_EQ(uri->module_path(), "/usr/lib/m.so");
  EXPECT_EQ(uri->pin_source(), "file:/etc/pin");
}

TEST(AUri, IsRefusedWithWhatIsWrongAndTheCodeThatWasAskedFor) {
  for (const std::string& text :
       {std::string(), std::string("pkcs11"), std::string("http://example.com"), std::string("pkcs11:id=%0"),
        std::string("pkcs11:id=%zz"), std::string("pkcs11:token"), std::string("pkcs11:colour=red"),
        "pkcs11:token=" + std::string(5000, 'a'), std::string("pkcs11:token=a\0b", 16)}) {
    const auto uri = Uri::parse(text, Errc::config_invalid);
    ASSERT_FALSE(uri) << text;
    EXPECT_EQ(uri.error().code, Errc::config_invalid);
    EXPECT_NE(uri.error().reason, "") << text;
  }
}

TEST(AUri, MayNotHoldThePinAndDoesNotRepeatIt) {
  const auto uri = Uri::parse("pkcs11:token=x?pin-value=hunter2", Errc::config_invalid);
  ASSERT_FALSE(uri);
  EXPECT_THAT(uri.error().sentence(), HasSubstr("pin-source"));
  EXPECT_THAT(uri.error().sentence() + uri.error().hint, Not(HasSubstr("hunter2")));
}

TEST(AKeyUri, NamesTokenAndKeyAndNothingElse) {
  const ObjectName name{.id = {std::byte{0}, std::byte{'a'}, std::byte{0xfe}}, .label = "devid:gateway:3"};
  const auto text = key_uri(a_token(), name);
  ASSERT_TRUE(text);
  EXPECT_THAT(*text, testing::StartsWith("pkcs11:"));
  EXPECT_THAT(*text, Not(HasSubstr("pin-")));
  EXPECT_THAT(*text, Not(HasSubstr("module-path")));
  const auto uri = Uri::parse(*text, Errc::usage);
  ASSERT_TRUE(uri) << *text;
  EXPECT_TRUE(uri->matches(a_token()));
  EXPECT_EQ(uri->object(), name);
  EXPECT_EQ(uri->type(), CKO_PRIVATE_KEY);
  CK_TOKEN_INFO other = a_token();
  put(other.serialNumber, "0002");
  EXPECT_FALSE(uri->matches(other));
}

TEST(ALocation, IsTheIdInPercentSigns) {
  EXPECT_EQ(object_location({.id = {std::byte{1}, std::byte{0xab}}, .label = {}}), "pkcs11:id=%01%AB");
  EXPECT_EQ(object_location({.id = {}, .label = "my key"}), "pkcs11:object=my%20key");
}

}  // namespace
}  // namespace devid::pkcs11
