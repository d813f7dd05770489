#include "tokens/pkcs11/ckr.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace devid::pkcs11 {
namespace {

using testing::HasSubstr;

struct Case {
  CK_RV rv;
  Errc code;
  Retry retry;
};

TEST(AReturnValue, BecomesACodeAndAdvice) {
  for (const auto& [rv, code, retry] : {
           Case{CKR_PIN_INCORRECT, Errc::token_auth_failed, Retry::after_operator},
           Case{CKR_PIN_LOCKED, Errc::token_locked_out, Retry::after_operator},
           Case{CKR_DEVICE_REMOVED, Errc::token_unreachable, Retry::later},
           Case{CKR_TOKEN_NOT_PRESENT, Errc::token_unreachable, Retry::later},
           Case{CKR_TOKEN_WRITE_PROTECTED, Errc::token_read_only, Retry::after_operator},
           Case{CKR_SESSION_READ_ONLY, Errc::token_read_only, Retry::after_operator},
           Case{CKR_DEVICE_MEMORY, Errc::token_full, Retry::after_operator},
           Case{CKR_MECHANISM_INVALID, Errc::token_unsupported, Retry::after_operator},
           Case{CKR_OBJECT_HANDLE_INVALID, Errc::token_no_such_key, Retry::after_operator},
           Case{CKR_USER_PIN_NOT_INITIALIZED, Errc::token_not_ready, Retry::after_operator},
           Case{CKR_GENERAL_ERROR, Errc::token_failed, Retry::later},
           Case{CKR_VENDOR_DEFINED | 5U, Errc::token_failed, Retry::later},
       }) {
    const Error error = to_error({.name = "C_Test", .rv = rv});
    EXPECT_EQ(error.code, code) << ckr_name(rv);
    EXPECT_EQ(error.retry, retry) << ckr_name(rv);
    EXPECT_EQ(error.reason, "C_Test: " + ckr_name(rv));
    EXPECT_NE(error.what, "") << ckr_name(rv);
  }
}

TEST(AReturnValue, ThatIsForTheOperatorSaysWhatToDo) {
  std::size_t for_the_operator = 0;
  for (CK_RV rv = 1; rv < 0x400; ++rv) {
    const Error error = to_error({.name = "C_Test", .rv = rv});
    if (error.retry != Retry::after_operator) continue;
    ++for_the_operator;
    EXPECT_NE(error.hint, "") << ckr_name(rv);
  }
  EXPECT_GT(for_the_operator, 20U);
}

TEST(AReturnValue, HasItsNameOrItsNumber) {
  EXPECT_EQ(ckr_name(CKR_OK), "CKR_OK");
  EXPECT_EQ(ckr_name(CKR_PIN_INCORRECT), "CKR_PIN_INCORRECT");
  EXPECT_EQ(ckr_name(0x80000005), "0x80000005");
}

TEST(AReturnValue, OfABrokenSessionCanBeMendedAndThatOfAWrongPinCannot) {
  for (const CK_RV rv : {CKR_SESSION_HANDLE_INVALID, CKR_SESSION_CLOSED, CKR_DEVICE_REMOVED, CKR_TOKEN_NOT_PRESENT,
                         CKR_USER_NOT_LOGGED_IN, CKR_KEY_HANDLE_INVALID, CKR_CRYPTOKI_NOT_INITIALIZED})
    EXPECT_TRUE(is_lost(rv)) << ckr_name(rv);
  for (const CK_RV rv : {CKR_OK, CKR_PIN_INCORRECT, CKR_PIN_LOCKED, CKR_DEVICE_MEMORY, CKR_MECHANISM_INVALID,
                         CKR_TEMPLATE_INCONSISTENT, CKR_HOST_MEMORY})
    EXPECT_FALSE(is_lost(rv)) << ckr_name(rv);
  for (const CK_RV rv : {CKR_PIN_INCORRECT, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE}) EXPECT_TRUE(refuses_pin(rv));
  for (const CK_RV rv : {CKR_OK, CKR_PIN_EXPIRED, CKR_PIN_LOCKED, CKR_DEVICE_ERROR}) EXPECT_FALSE(refuses_pin(rv));
  for (const CK_RV rv : {CKR_GENERAL_ERROR, CKR_VENDOR_DEFINED | 5U}) EXPECT_TRUE(says_nothing(rv));
  for (const CK_RV rv : {CKR_OK, CKR_PIN_INCORRECT, CKR_SESSION_CLOSED}) EXPECT_FALSE(says_nothing(rv));
}

}  // namespace
}  // namespace devid::pkcs11
