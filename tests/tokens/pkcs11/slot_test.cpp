#include "tokens/pkcs11/slot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

namespace devid::pkcs11 {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

template <std::size_t size>
void put(unsigned char (&field)[size], std::string_view text) {
  std::ranges::fill(field, ' ');
  std::ranges::copy(text, std::begin(field));
}

Slot slot(CK_SLOT_ID id, std::string_view label, std::string_view serial, CK_FLAGS flags = CKF_TOKEN_INITIALIZED) {
  Slot made{.id = id};
  put(made.info.slotDescription, "Reader " + std::to_string(id));
  put(made.info.manufacturerID, "Readers");
  put(made.token.label, label);
  put(made.token.manufacturerID, "ACME");
  put(made.token.model, "HSM");
  put(made.token.serialNumber, serial);
  made.token.flags = flags;
  return made;
}

Result<Slot> chosen(const std::vector<Slot>& slots, std::string_view uri) {
  auto parsed = Uri::parse(uri, Errc::usage);
  if (!parsed) return fail(std::move(parsed.error()));
  return choose(slots, *parsed);
}

class AModuleWithThreeTokens : public testing::Test {
 protected:
  std::vector<Slot> slots_{slot(3, "dev", "0001"), slot(4, "dev", "0002"), slot(9, "prod", "0001")};
};

TEST_F(AModuleWithThreeTokens, GivesTheOneThatIsMeant) {
  struct Case {
    const char* uri;
    CK_SLOT_ID id;
  };
  for (const auto& [uri, id] :
       {Case{"pkcs11:token=prod", 9}, Case{"pkcs11:token=dev;serial=0002", 4}, Case{"pkcs11:slot-id=3", 3},
        Case{"pkcs11:slot-description=Reader%204", 4}, Case{"pkcs11:serial=0002;manufacturer=ACME;model=HSM", 4}}) {
    const auto found = chosen(slots_, uri);
    ASSERT_TRUE(found) << uri << ": " << found.error().sentence();
    EXPECT_EQ(found->id, id) << uri;
  }
}

TEST_F(AModuleWithThreeTokens, ListsTheCandidatesOfAnAmbiguousUri) {
  const auto found = chosen(slots_, "pkcs11:token=dev");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::token_ambiguous);
  EXPECT_EQ(found.error().retry, Retry::after_operator);
  EXPECT_THAT(found.error().reason,
              AllOf(HasSubstr("token 'dev', serial '0001', manufacturer 'ACME', slot-id=3"),
                    HasSubstr("serial '0002', manufacturer 'ACME', slot-id=4"), Not(HasSubstr("prod"))));
}

TEST_F(AModuleWithThreeTokens, SaysWhatIsThereIfNoneIsMeant) {
  const auto found = chosen(slots_, "pkcs11:token=dev;serial=0003");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::token_unreachable);
  EXPECT_EQ(found.error().retry, Retry::later);
  EXPECT_THAT(found.error().reason, AllOf(HasSubstr("serial '0002'"), HasSubstr("prod")));
}

TEST(AModule, WithoutATokenSaysSo) {
  const auto found = chosen({}, "pkcs11:");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::token_unreachable);
  EXPECT_EQ(found.error().reason, "the module has no token");
}

TEST(AToken, ThatIsNotInitializedIsPassedOverForOneThatIs) {
  const auto found = chosen({slot(1, "", "", 0), slot(2, "dev", "0001"), slot(3, "", "", 0)}, "pkcs11:");
  ASSERT_TRUE(found) << found.error().sentence();
  EXPECT_EQ(found->id, 2U);
}

TEST(AToken, ThatIsNotInitializedIsNotReady) {
  const auto found = chosen({slot(1, "", "", 0)}, "pkcs11:slot-id=1");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().code, Errc::token_not_ready);
  EXPECT_THAT(found.error().hint, HasSubstr("init-token"));
}

TEST(AToken, WithAnUglyLabelIsShownSafely) {
  EXPECT_THAT(slot_text(slot(1, "a\x1b[2Jb", "1")), Not(HasSubstr("\x1b")));
}

TEST(AToken, SaysWhatAnOperatorShouldKnow) {
  CK_TOKEN_INFO token =
      slot(1, "dev", "1", CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_INITIALIZED).token;
  EXPECT_THAT(remarks_of(token), IsEmpty());
  token.flags |= CKF_USER_PIN_FINAL_TRY | CKF_WRITE_PROTECTED;
  EXPECT_THAT(remarks_of(token), ElementsAre(HasSubstr("locks the token"), HasSubstr("write-protected")));
  token.flags = CKF_TOKEN_INITIALIZED | CKF_LOGIN_REQUIRED | CKF_USER_PIN_LOCKED;
  EXPECT_THAT(remarks_of(token), ElementsAre(HasSubstr("is locked"), HasSubstr("not set yet")));
}

}  // namespace
}  // namespace devid::pkcs11
