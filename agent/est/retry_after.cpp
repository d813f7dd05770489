#include "agent/est/retry_after.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <string>

#include "agent/est/ascii.h"

namespace devid::est {
namespace {

constexpr Seconds shortest{1};
constexpr Seconds longest{std::chrono::days{30}};

std::optional<Time> parse_date(std::string_view text) {
  const time_t seconds = curl_getdate(std::string(text).c_str(), nullptr);
  if (seconds < 0) return std::nullopt;
  return Time(Seconds(seconds));
}

}  // namespace

std::optional<Seconds> parse_retry_after(std::string_view value, std::string_view date) {
  const bool digits = !value.empty() && std::ranges::all_of(value, ascii::is_digit);
  if (digits) {
    Seconds::rep count = 0;
    const auto read = std::from_chars(value.data(), value.data() + value.size(), count);
    if (read.ec == std::errc::result_out_of_range) return longest;
    return std::clamp(Seconds(count), shortest, longest);
  }
  const auto until = parse_date(value);
  const auto sent = parse_date(date);
  if (!until || !sent) return std::nullopt;
  return std::clamp(*until - *sent, shortest, longest);
}

}  // namespace devid::est
