// The fleet of FleetOptions through a year: prints the numbers, draws the load, and fails if a number is not met.
//   devid_fleet DIRECTORY [--seed N] [--devices N] [--outage-at HOURS] [--outage HOURS]

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <fstream>

#include "tests/bench/fleet.h"
#include "tests/bench/load_picture.h"
#include "tests/bench/results.h"

namespace devid::test {
namespace {

namespace fs = std::filesystem;

constexpr double highest = 3;
constexpr double highest_after_outage = 5;
constexpr double longest = 60;  // seconds

void draw(const fs::path& file, const FleetLoad& load, const FleetOptions& options) {
  const Seconds before = std::max(options.outage_at - std::chrono::hours(6), Seconds(0));
  const Seconds after = std::min(options.outage_at + options.outage + std::chrono::hours(36), options.duration);
  const auto panel = [](std::string title, const std::vector<std::uint32_t>& of, Seconds from, Seconds to, bool hours) {
    return LoadPanel{.title = std::move(title), .load = of, .from = from, .to = to, .in_hours = hours};
  };
  std::ofstream(file) << load_picture(
      {panel("All that the server is asked", load.requests, options.enrollment, options.duration, false),
       panel("Renewals alone", load.issues, options.enrollment, options.duration, false),
       panel("All that the server is asked, around the outage", load.requests, before, after, true),
       panel("Renewals alone, around the outage", load.issues, before, after, true)},
      options);
}

bool report(std::string_view what, const Peaks& peaks) {
  const bool met = peaks.over_mean <= highest && peaks.after_outage <= highest_after_outage;
  fmt::print("  {:<28} {:8.1f} {:8.2f} {:8.2f}  {}\n", what, peaks.mean, peaks.over_mean, peaks.after_outage,
             met ? "ok" : "MISSED");
  return met;
}

int run(const fs::path& directory, const FleetOptions& options) {
  const auto began = std::chrono::steady_clock::now();
  const FleetLoad load = simulate(options);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - began;
  const Peaks all = peaks(load.requests, options);
  const Peaks issues = peaks(load.issues, options);

  fmt::print("{} devices, {} days, no server for {} h from day {:.1f} on, seed {}\n", options.devices,
             options.duration / std::chrono::days(1), options.outage / std::chrono::hours(1),
             std::chrono::duration<double, std::ratio<86400>>(options.outage_at).count(), options.seed);
  fmt::print("  {:<28} {:>8} {:>8} {:>8}\n", "a minute", "mean", "peak", "after");
  const bool all_met = report("all that the server is asked", all);
  const bool issues_met = report("renewals alone", issues);
  fmt::print("  limits, over the mean                 {:8.2f} {:8.2f}\n", highest, highest_after_outage);
  fmt::print("  expired: {}; simulated in {:.1f} s\n", load.expired, took.count());

  fs::create_directories(directory);
  draw(directory / "fleet.svg", load, options);
  fmt::print("  {}\n", (directory / "fleet.svg").string());
  const bool written =
      add_results(directory / "results.json", {{"fleet_seed", static_cast<double>(options.seed)},
                                               {"fleet_devices", options.devices},
                                               {"fleet_mean", all.mean},
                                               {"fleet_peak_over_mean", all.over_mean},
                                               {"fleet_peak_over_mean_after_outage", all.after_outage},
                                               {"fleet_renewals_mean", issues.mean},
                                               {"fleet_renewals_peak_over_mean", issues.over_mean},
                                               {"fleet_renewals_peak_over_mean_after_outage", issues.after_outage},
                                               {"fleet_expired", load.expired},
                                               {"fleet_seconds", took.count()}});
  return all_met && issues_met && load.expired == 0 && took.count() < longest && written ? 0 : 1;
}

}  // namespace
}  // namespace devid::test

int main(int argc, char** argv) {
  devid::test::FleetOptions options;
  std::string directory;
  int outage_at = 36 * 24;
  int outage = 6;
  CLI::App app("A fleet through a year of virtual time");
  app.add_option("directory", directory, "where fleet.svg and results.json go")->required();
  app.add_option("--seed", options.seed);
  app.add_option("--devices", options.devices)->check(CLI::Range(1, 10'000'000));
  app.add_option("--outage-at", outage_at, "hours after the first enrollment")->check(CLI::Range(1, 8700));
  app.add_option("--outage", outage, "hours")->check(CLI::Range(0, 1000));
  CLI11_PARSE(app, argc, argv);
  options.outage_at = std::chrono::hours(outage_at);
  options.outage = std::chrono::hours(outage);
  return devid::test::run(directory, options);
}
