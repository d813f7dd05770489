#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "agent/identity/candidates.h"
#include "agent/identity/evidence.h"
#include "base/error.h"

namespace devid::identity {

/// What a search that found nothing has seen.
struct Findings {
  const Candidates& candidates;
  std::size_t derived;            ///< how many keys were derived from templates
  std::string nearest;            ///< of the likeliest certificate: where it is, and what stands in the way
  std::optional<Error> expired;   ///< a certificate whose key is there
  std::optional<Error> unproven;  ///< why the key of a certificate did not sign
};

/// The error of a job. That of a token, if no other one could be asked; then one that may pass is tried again soon.
Error why_nothing_was_found(const Findings& findings);

/// A line for each place where an IDevID is expected and nothing is, in the tokens that were asked.
std::vector<Evidence> empty_places(const Search& search, const Findings& findings);

/// What an operator may do about it, the most promising first: at least one.
std::vector<std::string> advice_for(const Findings& findings);

}  // namespace devid::identity
