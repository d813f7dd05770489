#pragma once

#include <string>
#include <vector>

#include "agent/est/endpoint.h"
#include "base/error.h"

namespace devid::identity {

/// Whether it was the server's own trouble that a job came to nothing, so that another of the profile may do better.
bool another_may_do_better(Errc code);

/// Where the next job begins, as est::Endpoint::base, after one that used `last`: there, if it has the request, else at
/// the one after it, so that the trouble of one server keeps no device from the others. They are a ring.
std::string next_server(const std::vector<est::Endpoint>& endpoints, const std::string& last, bool has_request);

}  // namespace devid::identity
