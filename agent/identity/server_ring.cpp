#include "agent/identity/server_ring.h"

#include <algorithm>
#include <iterator>

namespace devid::identity {

bool another_may_do_better(Errc code) {
  switch (code) {
    case Errc::network_unreachable:
    case Errc::network_timeout:
    case Errc::proxy_failed:
    case Errc::tls_failed:
    case Errc::server_unavailable:
    case Errc::server_protocol:
    case Errc::answer_too_large:
    case Errc::answer_malformed: return true;
    default: return false;
  }
}

std::string next_server(const std::vector<est::Endpoint>& endpoints, const std::string& last, bool has_request) {
  const auto used = std::ranges::find(endpoints, last, &est::Endpoint::base);
  if (has_request || used == endpoints.end()) return last;
  return (std::next(used) == endpoints.end() ? endpoints.front() : *std::next(used)).base;
}

}  // namespace devid::identity
