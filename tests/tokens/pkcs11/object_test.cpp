#include "tokens/pkcs11/object.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::pkcs11 {
namespace {

using testing::AllOf;
using testing::HasSubstr;

const Bytes one{std::byte{1}};
const Bytes two{std::byte{2}};

class SomeObjects : public testing::Test {
 protected:
  [[nodiscard]] Result<Object> find(CK_OBJECT_CLASS type, const ObjectName& name) const {
    return the_object(objects_, type, name, Errc::token_no_such_key);
  }

  std::vector<Object> objects_{
      {.handle = 1, .type = CKO_PRIVATE_KEY, .name = {.id = one, .label = "a"}},
      {.handle = 2, .type = CKO_PUBLIC_KEY, .name = {.id = one, .label = "a"}},
      {.handle = 3, .type = CKO_PRIVATE_KEY, .name = {.id = two, .label = "b"}},
      {.handle = 4, .type = CKO_PRIVATE_KEY, .name = {.id = two, .label = "c"}},
      {.handle = 5, .type = CKO_PRIVATE_KEY, .name = {.id = {}, .label = "d"}},
  };
};

TEST_F(SomeObjects, AreFoundByIdLabelOrBoth) {
  EXPECT_EQ(find(CKO_PRIVATE_KEY, {.id = one, .label = {}})->handle, 1U);
  EXPECT_EQ(find(CKO_PUBLIC_KEY, {.id = one, .label = {}})->handle, 2U);
  EXPECT_EQ(find(CKO_PRIVATE_KEY, {.id = {}, .label = "d"})->handle, 5U);
  EXPECT_EQ(find(CKO_PRIVATE_KEY, {.id = two, .label = "c"})->handle, 4U);
}

TEST_F(SomeObjects, AreAmbiguousOrMissing) {
  const auto several = find(CKO_PRIVATE_KEY, {.id = two, .label = {}});
  ASSERT_FALSE(several);
  EXPECT_EQ(several.error().code, Errc::token_ambiguous);
  EXPECT_THAT(several.error().reason, AllOf(HasSubstr("object=b"), HasSubstr("object=c")));
  EXPECT_EQ(find(CKO_CERTIFICATE, {.id = one, .label = {}}).error().code, Errc::token_no_such_key);
  EXPECT_EQ(find(CKO_PRIVATE_KEY, {.id = one, .label = "b"}).error().code, Errc::token_no_such_key);
}

TEST_F(SomeObjects, AreListedByTheShortestNameThatMeansOneOfThem) {
  EXPECT_EQ(listed_location(objects_[0].name, objects_, CKO_PRIVATE_KEY), "pkcs11:id=%01");
  EXPECT_EQ(listed_location(objects_[3].name, objects_, CKO_PRIVATE_KEY), object_location(objects_[3].name));
  EXPECT_EQ(listed_location(objects_[4].name, objects_, CKO_PRIVATE_KEY), "pkcs11:object=d");
}

TEST(AnObject, IsOursIfItsLabelSaysSo) {
  EXPECT_TRUE(is_ours({.name = {.id = one, .label = "devid:gateway:1"}}));
  EXPECT_FALSE(is_ours({.name = {.id = one, .label = "mydevid:gateway:1"}}));
  EXPECT_FALSE(is_ours({.name = {.id = one, .label = ""}}));
}

TEST(Attributes, OfAWrongSizeAreNone) {
  Attributes attributes;
  attributes.set(CKA_SIGN, Bytes(8));
  attributes.set(CKA_CLASS, Bytes(4));
  attributes.set(CKA_SENSITIVE, Bytes{std::byte{2}});
  EXPECT_EQ(attributes.flag(CKA_SIGN), std::nullopt);
  EXPECT_EQ(attributes.number(CKA_CLASS), std::nullopt);
  EXPECT_EQ(attributes.flag(CKA_SENSITIVE), true);
  EXPECT_EQ(attributes.flag(CKA_EXTRACTABLE), std::nullopt);
}

}  // namespace
}  // namespace devid::pkcs11
