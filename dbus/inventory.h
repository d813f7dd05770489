#pragma once

#include <vector>

#include "agent/agent.h"
#include "dbus/wire.h"

/// What devidd knows of tokens, and of CAs that could be trusted, as methods and properties say it.
namespace devid::wire {

/// name, kind, location: ListTokens.
Dictionary to_dictionary(const TokenDescription& token);
/// The same, and what the token said, or `error`: InspectTokens.
Dictionary to_dictionary(const TokenInspection& token);
/// token, location, found, verdict, why: Diagnose.
Dictionary to_dictionary(const identity::Evidence& evidence);
/// subject, issuer, fingerprint, not_before, not_after, server, when: PendingTrust and Trust.
Dictionary to_dictionary(const identity::ServerAnchor& anchor);
/// code (s), message (s: the sentence), hint (s).
Dictionary to_dictionary(const identity::Told& told);
Dictionary to_dictionary(const Error& error);

template <class T>
std::vector<Dictionary> to_dictionaries(const std::vector<T>& list) {
  std::vector<Dictionary> dictionaries;
  dictionaries.reserve(list.size());
  for (const T& one : list) dictionaries.push_back(to_dictionary(one));
  return dictionaries;
}

}  // namespace devid::wire
