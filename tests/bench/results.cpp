#include "tests/bench/results.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>

namespace devid::test {

bool add_results(const std::filesystem::path& file, const std::map<std::string, double>& numbers) {
  nlohmann::json results = nlohmann::json::object();
  if (std::ifstream in(file); in) results = nlohmann::json::parse(in, nullptr, false);
  if (!results.is_object()) results = nlohmann::json::object();
  for (const auto& [name, number] : numbers) {
    if (number == std::floor(number)) {
      results[name] = static_cast<std::int64_t>(number);
    } else {
      results[name] = std::round(number * 1000) / 1000;
    }
  }
  std::ofstream out(file);
  out << results.dump(2) << '\n';
  if (out.flush()) return true;
  fmt::print(stderr, "error: cannot write {}\n", file.string());
  return false;
}

}  // namespace devid::test
