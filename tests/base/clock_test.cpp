#include "base/clock.h"

#include <gtest/gtest.h>

#include <vector>

namespace devid {
namespace {

TEST(ATime, IsWrittenForPeopleInUtc) {
  const std::vector<std::pair<std::int64_t, std::string>> times = {
      {0, "1970-01-01 00:00:00 UTC"},
      {-1, "1969-12-31 23:59:59 UTC"},
      {951827696, "2000-02-29 12:34:56 UTC"},
      {2147483648, "2038-01-19 03:14:08 UTC"},
      {253402300799, "9999-12-31 23:59:59 UTC"},
  };
  for (const auto& [seconds, text] : times) EXPECT_EQ(utc_text(Time(Seconds(seconds))), text);
}

TEST(TheSystemClock, IsTheSystemsInWholeSeconds) {
  const auto before = std::chrono::floor<Seconds>(std::chrono::system_clock::now());
  const Time now = SystemClock().now();
  EXPECT_GE(now, before);
  EXPECT_LE(now, std::chrono::system_clock::now());
}

}  // namespace
}  // namespace devid
