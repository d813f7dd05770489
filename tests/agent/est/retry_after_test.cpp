#include "agent/est/retry_after.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace devid::est {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view sent = "Mon, 21 Sep 2026 14:13:20 GMT";
constexpr Seconds month{30 * 86400};

TEST(RetryAfter, IsANumberOfSeconds) {
  const std::vector<std::pair<std::string, std::optional<Seconds>>> table = {
      {"120", 120s},
      {"1", 1s},
      {"0", 1s},
      {"000000000000000000000000120", 120s},
      {"2592000", month},
      {"2592001", month},
      {"99999999999999999999999999", month},
      {"", std::nullopt},
      {"-1", std::nullopt},
      {"+1", std::nullopt},
      {"1.5", std::nullopt},
      {"soon", std::nullopt},
      {"120s", std::nullopt},
      {"\x01", std::nullopt},
  };
  for (const auto& [value, expected] : table) EXPECT_EQ(parse_retry_after(value, ""), expected) << value;
}

TEST(RetryAfter, IsADateThatCountsFromTheAnswersOwn) {
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2026 14:15:20 GMT", sent), 120s);
  EXPECT_EQ(parse_retry_after("Monday, 21-Sep-26 14:15:20 GMT", sent), 120s);
  EXPECT_EQ(parse_retry_after("Mon Sep 21 14:15:20 2026", sent), 120s);
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2020 14:15:20 GMT", sent), 1s);
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2037 14:15:20 GMT", sent), month);
  EXPECT_EQ(parse_retry_after("Mon, 99 Sep 2026 99:99:99 GMT", sent), std::nullopt);
}

TEST(RetryAfter, IsNothingWhereThereIsADateAndNothingToCountFrom) {
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2026 14:15:20 GMT", ""), std::nullopt);
  EXPECT_EQ(parse_retry_after("Mon, 21 Sep 2026 14:15:20 GMT", "no date"), std::nullopt);
}

}  // namespace
}  // namespace devid::est
