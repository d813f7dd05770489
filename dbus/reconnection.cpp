#include "dbus/reconnection.h"

#include <algorithm>
#include <utility>

#include "agent/identity/network.h"
#include "dbus/job_log.h"

namespace devid {
namespace {

using namespace std::chrono_literals;

/// Routes follow addresses, addresses follow links: one change of the network is many messages.
constexpr auto settling_time = 2s;
constexpr auto longest_stay = std::chrono::seconds(1h);
constexpr auto shortest_interval = 1min;
constexpr unsigned most_doublings = 5;

}  // namespace

Reconnection::Reconnection(EventLoop& loop, const Clock& clock, std::chrono::seconds spread, Retry retry)
    : loop_(loop), clock_(clock), spread_(spread), retry_(std::move(retry)), watch_(loop, [this] { changed(); }) {}

void Reconnection::listen() {
  const auto started = watch_.start();
  if (!started && !std::exchange(complained_, true)) log_network_unwatched(started.error());
}

void Reconnection::rest() {
  if (jobs_.empty() && waiting_.empty()) watch_.stop();
}

void Reconnection::job_began(const std::string& identity) {
  jobs_.emplace(identity, changes_);
  listen();
}

void Reconnection::job_ended(const std::string& identity) {
  const auto job = jobs_.extract(identity);
  const auto waiting = waiting_.find(identity);
  if (job && waiting != waiting_.end() && job.mapped() != changes_) plan(identity, waiting->second);
  rest();
}

void Reconnection::take(const identity::Status& status) {
  const auto& outlook = status.outlook;
  if (!outlook || !identity::waits_for_network(outlook->situation)) {
    forget(status.name);
    return;
  }
  listen();
  const Time now = clock_.now();
  const Time failed_at = outlook->situation.record.last_attempt.value_or(now);
  Waiting& waiting = waiting_[status.name];
  if (std::exchange(waiting.failed_at, failed_at) == failed_at) return;
  const auto left = std::clamp<Seconds>(failed_at + longest_stay - now, 0s, longest_stay);
  waiting.until = Steady::now() + left;
  loop_.after(left, [] {});  // so that the loop looks whether it may end
}

void Reconnection::forget(const std::string& identity) {
  waiting_.erase(identity);
  rest();
}

bool Reconnection::is_waiting() const {
  if (!watch_.is_on()) return false;
  const auto now = Steady::now();
  return std::ranges::any_of(waiting_, [now](const auto& entry) { return entry.second.until > now; });
}

void Reconnection::changed() {
  if (std::exchange(settling_, true)) return;
  loop_.after(settling_time, [this] { settled(); });
}

void Reconnection::settled() {
  settling_ = false;
  ++changes_;
  for (auto& [identity, waiting] : waiting_)
    if (!jobs_.contains(identity)) plan(identity, waiting);
}

void Reconnection::plan(const std::string& identity, Waiting& waiting) {
  if (std::exchange(waiting.planned, true)) return;
  const std::chrono::milliseconds own(std::uniform_int_distribution<std::int64_t>(0, spread_.count())(random_));
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(waiting.not_before - Steady::now());
  loop_.after(std::max(own, wait), [this, identity] { due(identity); });
}

void Reconnection::due(const std::string& identity) {
  const auto found = waiting_.find(identity);
  if (found == waiting_.end()) return;
  Waiting& waiting = found->second;
  waiting.planned = false;
  waiting.not_before = Steady::now() + shortest_interval * (1U << std::min(waiting.tries++, most_doublings));
  retry_(identity);
}

}  // namespace devid
