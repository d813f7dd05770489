#include "agent/identity/duration.h"

#include <gtest/gtest.h>

namespace devid::identity {
namespace {

TEST(ADuration, IsAWholeNumberAndItsUnit) {
  EXPECT_EQ(parse_duration("90s"), Seconds(90));
  EXPECT_EQ(parse_duration("15min"), std::chrono::minutes(15));
  EXPECT_EQ(parse_duration("6h"), std::chrono::hours(6));
  EXPECT_EQ(parse_duration("30d"), std::chrono::days(30));
  EXPECT_EQ(parse_duration("0s"), Seconds(0));
}

TEST(ADuration, IsNothingElse) {
  for (const std::string_view text :
       {"", "s", "90", "-1s", "+1s", "1.5h", "1 h", " 1h", "1h ", "1H", "1m", "1h30min", "1234567890s", "0x1s"})
    EXPECT_EQ(parse_duration(text), std::nullopt) << text;
}

TEST(ADuration, IsWrittenInTheLargestUnitThatNeedsNoFraction) {
  EXPECT_EQ(duration_text(std::chrono::days(2)), "2d");
  EXPECT_EQ(duration_text(std::chrono::hours(36)), "36h");
  EXPECT_EQ(duration_text(Seconds(90)), "90s");
  EXPECT_EQ(duration_text(Seconds(120)), "2min");
}

}  // namespace
}  // namespace devid::identity
