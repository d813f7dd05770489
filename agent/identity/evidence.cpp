#include "agent/identity/evidence.h"

#include <fmt/format.h>

#include <algorithm>

namespace devid::identity {

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::taken: return "taken";
    case Verdict::usable: return "usable";
    case Verdict::rejected: return "rejected";
  }
  return "rejected";
}

std::string certificate_text(const pki::Certificate& certificate) {
  // "no expiry": RFC 5280 4.1.2.5
  const Time end = certificate.not_after();
  const bool for_good = end == Time(std::chrono::sys_days(std::chrono::year(9999) / 12 / 31)) + Seconds(86399);
  return fmt::format("certificate of {}, valid {}", certificate.subject(),
                     for_good ? "for good" : "until " + utc_text(end));
}

std::string place_text(const std::string& token, const std::string& location) {
  return token.empty() ? location : fmt::format("{} in token '{}'", location, token);
}

std::vector<Evidence> ranked(std::vector<Evidence> evidence) {
  std::ranges::stable_sort(evidence, {}, &Evidence::verdict);
  return evidence;
}

std::vector<Evidence> merged(std::vector<Evidence> evidence) {
  std::vector<Evidence> places;
  for (Evidence& row : evidence) {
    const auto known = std::ranges::find_if(
        places, [&](const Evidence& other) { return other.token == row.token && other.location == row.location; });
    if (known == places.end()) {
      places.push_back(std::move(row));
    } else if (row.verdict < known->verdict) {
      *known = std::move(row);
    }
  }
  return ranked(std::move(places));
}

}  // namespace devid::identity
