#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "agent/identity/profile.h"
#include "base/clock.h"

namespace devid::test {

/// A fleet that was enrolled at once, and what happens to it. Times are counted from the first enrollment.
struct FleetOptions {
  std::uint32_t devices = 1'000'000;
  Seconds enrollment{std::chrono::hours(1)};  ///< in which all of them enroll
  Seconds lifetime{std::chrono::days(90)};    ///< of a certificate
  Seconds duration{std::chrono::days(365)};
  Seconds outage_at{std::chrono::days(36)};  ///< the server is gone from then on: in the middle of the first renewals
  Seconds outage{std::chrono::hours(6)};
  Seconds timer_delay{890};   ///< RandomizedDelaySec of devid-run-due.timer
  std::uint32_t one_of = 10;  ///< the looks at the CA of one device of so many are simulated, and count for the others
  std::uint64_t seed = 1;
  identity::Profile profile;
};

/// What a fleet asks of its server.
struct FleetLoad {
  std::vector<std::uint32_t> issues;    ///< enrollments and renewals that begin, for each minute
  std::vector<std::uint32_t> requests;  ///< these and the looks at the CA
  std::uint32_t expired = 0;            ///< devices whose certificate ran out before there was another one
};

/// Takes a fleet through virtual time with the code by which devidd decides: next_step() and the bookkeeping.
FleetLoad simulate(const FleetOptions& options);

/// The highest load of a minute over the mean. Neither knows the enrollments at the beginning, nor the outage.
struct Peaks {
  double mean = 0;          ///< a minute
  double over_mean = 0;     ///< at any other time than
  double after_outage = 0;  ///< in the hour after the outage
};
Peaks peaks(std::span<const std::uint32_t> load, const FleetOptions& options);

}  // namespace devid::test
