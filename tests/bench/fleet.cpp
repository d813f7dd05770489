#include "tests/bench/fleet.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "agent/identity/bookkeeping.h"
#include "agent/identity/next_step.h"

namespace devid::test {
namespace {

using identity::Holding;
using identity::Moment;
using identity::Profile;
using identity::Record;
using identity::Situation;

constexpr Time start = std::chrono::sys_days(std::chrono::January / 1 / 2026);
/// OnCalendar of devid-run-due.timer.
constexpr Seconds timer_interval = std::chrono::minutes(15);
constexpr Seconds minute = std::chrono::minutes(1);
constexpr std::uint32_t none = std::numeric_limits<std::uint32_t>::max();

/// A time after the start, in half of the space.
using Offset = std::uint32_t;
Offset offset(Time time) { return static_cast<Offset>((time - start).count()); }
Offset offset(const std::optional<Time>& time) { return time ? offset(*time) : none; }
std::optional<Time> time_at(Offset at) { return at == none ? std::nullopt : std::optional(start + Seconds(at)); }

/// All that is known of a device, in half a cache line.
struct Device {
  std::uint32_t next_in_minute = none;  ///< the next device that wakes in the same minute
  Offset issued = none;                 ///< none: it has no certificate yet
  Offset last_attempt = none;
  Offset next_attempt = none;
  Offset next_refresh = none;
  float share = 0;
  std::uint16_t wakes_at = 0;  ///< seconds after each quarter of an hour
  std::uint8_t attempts = 0;
  bool enrolled = false;
};
static_assert(sizeof(Device) <= 32);

class Fleet {
 public:
  explicit Fleet(const FleetOptions& options)
      : options_(options),
        looking_(options.profile),
        incurious_(options.profile),
        random_([engine = std::mt19937_64(options.seed)]() mutable {
          return std::ldexp(static_cast<double>(engine() >> 11U), -53);
        }),
        devices_(options.devices),
        first_in_minute_(minutes(options.duration), none) {
    incurious_.server.cacerts_interval = std::chrono::years(20);
    load_.issues.resize(first_in_minute_.size());
    load_.requests.resize(first_in_minute_.size());
  }

  FleetLoad run() {
    for (std::uint32_t i = 0; i < options_.devices; ++i) {
      devices_[i].wakes_at = static_cast<std::uint16_t>(upto(options_.timer_delay).count());
      // Whoever commissions a device does not wait for the timer.
      proceed(i, start + upto(options_.enrollment));
    }
    for (std::size_t now = 0; now < first_in_minute_.size(); ++now) {
      for (std::uint32_t i = first_in_minute_[now]; i != none;) {
        const Device& device = devices_[i];
        const std::uint32_t next = device.next_in_minute;
        if (next != none) __builtin_prefetch(&devices_[next]);
        proceed(i, start + wake(device, static_cast<Seconds::rep>(now) * minute));
        i = next;
      }
    }
    for (const Device& device : devices_)
      if (device.issued == none || Seconds(device.issued) + options_.lifetime < options_.duration) ++load_.expired;
    return std::move(load_);
  }

 private:
  static std::size_t minutes(Seconds time) { return static_cast<std::size_t>(time / minute); }
  Seconds upto(Seconds most) {
    return Seconds(static_cast<Seconds::rep>(random_() * static_cast<double>(most.count())));
  }

  /// When the timer next asks for what is due, at a time or later.
  static Seconds wake(const Device& device, Seconds from) {
    const Seconds delay(device.wakes_at);
    const Seconds since = std::max(from - delay, Seconds(0));
    return (since + timer_interval - Seconds(1)) / timer_interval * timer_interval + delay;
  }

  void read(const Device& device) {
    Record& record = situation_.record;
    record.attempts = device.attempts;
    record.last_attempt = time_at(device.last_attempt);
    record.next_attempt = time_at(device.next_attempt);
    record.next_refresh = time_at(device.next_refresh);
    record.last_success = time_at(device.issued);
    record.last_error.reset();
    if (device.attempts > 0) record.last_error = down_;
    situation_.credential.reset();
    if (device.issued == none) return;
    const Time issued = start + Seconds(device.issued);
    situation_.credential = Holding{.validity = {.not_before = issued, .not_after = issued + options_.lifetime},
                                    .since = issued,
                                    .enrolled = device.enrolled,
                                    .share = device.share};
  }

  void write(Device& device) const {
    const Record& record = situation_.record;
    device.attempts = static_cast<std::uint8_t>(std::min(record.attempts, 255U));
    device.last_attempt = offset(record.last_attempt);
    device.next_attempt = offset(record.next_attempt);
    device.next_refresh = offset(record.next_refresh);
  }

  /// What devidd does when it is asked for what is due.
  void proceed(std::uint32_t number, Time now) {
    Device& device = devices_[number];
    read(device);
    const bool looks = number % options_.one_of == 0;
    const Moment moment{.profile = looks ? looking_ : incurious_,
                        .now = now,
                        .left = identity::time_left(situation_, now),
                        .random = random_};
    const identity::Step step = identity::next_step(situation_, moment.profile, now);
    if (std::holds_alternative<identity::Refresh>(step)) {
      look(moment);
    } else if (!std::holds_alternative<identity::Wait>(step)) {
      attempt(device, identity::kind_of(step), moment);
    }
    write(device);
    const identity::Step next = identity::next_step(situation_, moment.profile, now);
    const auto* wait = std::get_if<identity::Wait>(&next);
    call_again(number, std::max(wait == nullptr ? now : wait->until, now + Seconds(1)));
  }

  [[nodiscard]] bool is_down(Time now) const {
    const Time since = start + options_.outage_at;
    return now >= since && now < since + options_.outage;
  }

  void look(const Moment& moment) {
    load_.requests[minutes(moment.now - start)] += options_.one_of;
    const Record before = situation_.record;
    const Record during = identity::before_look(before, moment);
    situation_.record = identity::after_look(during, before, is_down(moment.now) ? &down_ : nullptr, moment);
  }

  void attempt(Device& device, JobKind kind, const Moment& moment) {
    const std::size_t now = minutes(moment.now - start);
    load_.issues[now] += 1;
    load_.requests[now] += 1;
    const Record before = situation_.record;
    const Record during = identity::before_attempt(before, kind, moment);
    if (is_down(moment.now)) {
      situation_.record = identity::after_failure(during, before, down_, moment);
      return;
    }
    if (situation_.credential && moment.now > situation_.credential->validity.not_after) ++load_.expired;
    device.issued = offset(moment.now);
    device.enrolled = kind == JobKind::enroll;
    device.share = static_cast<float>(random_());
    situation_.record = identity::after_success(during, {.last_success = moment.now}, moment);
    read_certificate(device);
  }

  void read_certificate(const Device& device) {
    const Record record = situation_.record;
    read(device);
    situation_.record = record;
  }

  void call_again(std::uint32_t number, Time from) {
    Device& device = devices_[number];
    const std::size_t at = minutes(wake(device, from - start));
    if (at >= first_in_minute_.size()) return;
    device.next_in_minute = first_in_minute_[at];
    first_in_minute_[at] = number;
  }

  const FleetOptions& options_;
  Profile looking_;
  Profile incurious_;
  identity::Random random_;
  const Error down_{.code = Errc::network_unreachable, .retry = Retry::later};
  Situation situation_;
  std::vector<Device> devices_;
  std::vector<std::uint32_t> first_in_minute_;  ///< the first device that wakes in each minute
  FleetLoad load_;
};

}  // namespace

FleetLoad simulate(const FleetOptions& options) { return Fleet(options).run(); }

Peaks peaks(std::span<const std::uint32_t> load, const FleetOptions& options) {
  const auto index = [&](Seconds time) { return static_cast<std::size_t>(time / minute); };
  const std::size_t down = index(options.outage_at);
  const std::size_t up = index(options.outage_at + options.outage);
  const std::size_t settled = index(options.outage_at + options.outage + std::chrono::hours(1));
  double sum = 0;
  std::size_t counted = 0;
  std::uint32_t highest = 0;
  std::uint32_t highest_after = 0;
  for (std::size_t i = index(options.enrollment); i < load.size(); ++i) {
    if (i >= down && i < up) continue;
    sum += load[i];
    ++counted;
    std::uint32_t& peak = i >= up && i < settled ? highest_after : highest;
    peak = std::max(peak, load[i]);
  }
  const double mean = sum / static_cast<double>(counted);
  return {.mean = mean, .over_mean = highest / mean, .after_outage = highest_after / mean};
}

}  // namespace devid::test
