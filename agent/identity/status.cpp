#include "agent/identity/status.h"

namespace devid::identity {

std::string_view state_name(State state) {
  switch (state) {
    case State::unenrolled: return "unenrolled";
    case State::enrolling: return "enrolling";
    case State::pending: return "pending";
    case State::valid: return "valid";
    case State::renewing: return "renewing";
    case State::degraded: return "degraded";
    case State::expired: return "expired";
    case State::blocked: return "blocked";
    case State::waiting_for_clock: return "waiting-for-clock";
  }
  return "blocked";
}

}  // namespace devid::identity
