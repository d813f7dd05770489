#include "tokens/tpm/rc.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>

namespace devid::tpm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

struct Known {
  TSS2_RC rc;
  Errc code;
  Retry retry;

  friend std::ostream& operator<<(std::ostream& out, const Known& known) { return out << known.rc; }
};

class AResponseCode : public testing::TestWithParam<Known> {};

TEST_P(AResponseCode, BecomesAnErrorWithCallNumberAndText) {
  const auto [rc, code, retry] = GetParam();
  const Error error = to_error({.name = "Esys_Sign", .rc = rc});
  EXPECT_EQ(code_name(error.code), code_name(code)) << error.sentence();
  EXPECT_EQ(retry_name(error.retry), retry_name(retry)) << error.sentence();
  std::array<char, 16> number{};
  std::snprintf(number.data(), number.size(), "0x%03x ", rc);
  EXPECT_THAT(error.reason, AllOf(HasSubstr("Esys_Sign: "), HasSubstr(number.data())));
  EXPECT_FALSE(error.what.empty());
}

INSTANTIATE_TEST_SUITE_P(
    Fact, AResponseCode,
    testing::Values(
        Known{0x000a000a, Errc::token_unreachable, Retry::later},
        Known{0x000a0005, Errc::token_unreachable, Retry::later},
        Known{0x00070007, Errc::token_unreachable, Retry::later}, Known{0x100, Errc::token_not_ready, Retry::later},
        Known{0x101, Errc::token_failed, Retry::after_operator},
        Known{0x98e, Errc::token_auth_failed, Retry::after_operator},
        Known{0x9a2, Errc::token_auth_failed, Retry::after_operator},
        Known{0x921, Errc::token_locked_out, Retry::later},
        Known{0x18b, Errc::token_no_such_key, Retry::after_operator},
        Known{0x184, Errc::token_no_such_key, Retry::after_operator}, Known{0x902, Errc::token_not_ready, Retry::later},
        Known{0x903, Errc::token_not_ready, Retry::later}, Known{0x1df, Errc::token_wrong_key, Retry::after_operator},
        Known{0x2e6, Errc::token_unsupported, Retry::after_operator},
        Known{0x2c4, Errc::token_unsupported, Retry::after_operator}, Known{0x922, Errc::token_not_ready, Retry::later},
        Known{0x920, Errc::token_not_ready, Retry::later},
        Known{0x000b0921, Errc::token_locked_out, Retry::later},  // through a resource manager
        Known{0x0007001b, Errc::token_failed, Retry::later},      // an answer with a wrong HMAC
        Known{0x17f, Errc::token_failed, Retry::later}),
    [](const auto& param) { return "Rc" + std::to_string(param.param.rc); });

TEST(ResponseCodes, LoseWhatTheyAreAboutInTheirBaseCode) {
  EXPECT_EQ(base_code(0x98e), 0x08eU);       // session 1
  EXPECT_EQ(base_code(0x18b), 0x08bU);       // handle 1
  EXPECT_EQ(base_code(0x2e6), 0x0a6U);       // parameter 2
  EXPECT_EQ(base_code(0x921), 0x921U);       // warnings have no number
  EXPECT_EQ(base_code(0x000b0902), 0x902U);  // from a resource manager
  EXPECT_EQ(base_code(0x000a000a), 0U);      // not from the TPM
}

TEST(ResponseCodes, AreSortedByWhatToDoAboutThem) {
  for (const TSS2_RC rc : {0x904U, 0x908U, 0x909U, 0x90aU, 0x920U, 0x922U, 0x923U}) EXPECT_TRUE(is_busy(rc)) << rc;
  for (const TSS2_RC rc : {0U, 0x921U, 0x98eU, 0x9a2U, 0x902U, 0x100U, 0xa000aU}) EXPECT_FALSE(is_busy(rc)) << rc;
  for (const TSS2_RC rc : {0x910U, 0x184U, 0x18bU, 0x284U}) EXPECT_TRUE(is_missing_object(rc)) << rc;
  for (const TSS2_RC rc : {0x1c4U, 0x2c4U, 0x984U, 0x918U, 0U}) EXPECT_FALSE(is_missing_object(rc)) << rc;
  EXPECT_TRUE(is_missing_session(0x918));
  EXPECT_TRUE(is_missing_session(0x98b)) << "a session of another kind";
  EXPECT_FALSE(is_missing_session(0x18b)) << "about a handle";
  EXPECT_FALSE(is_missing_session(0x910));
  EXPECT_TRUE(is_lost(0xa000a));
  EXPECT_TRUE(is_lost(0x70007));
  EXPECT_FALSE(is_lost(0x101));
  EXPECT_FALSE(is_lost(0));
  EXPECT_TRUE(is_out_of_slots(0x902));
  EXPECT_TRUE(is_out_of_slots(0x903));
  EXPECT_FALSE(is_out_of_slots(0x904));
}

}  // namespace
}  // namespace devid::tpm
