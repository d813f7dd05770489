#include "agent/identity/network.h"

namespace devid::identity {

bool waits_for_network(const Situation& situation) {
  const Record& record = situation.record;
  if (record.attempts == 0 || !record.last_error || situation.running) return false;
  switch (record.last_error->code) {
    case Errc::network_unreachable:
    case Errc::network_timeout:
    case Errc::proxy_failed: return true;
    default: return false;
  }
}

Step step_with_network(const Situation& situation, const Profile& profile, Time now) {
  if (!waits_for_network(situation)) return next_step(situation, profile, now);
  Situation hurried = situation;
  hurried.record.next_attempt = now;
  return next_step(hurried, profile, now);
}

}  // namespace devid::identity
