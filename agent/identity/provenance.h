#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/identity/job.h"
#include "base/clock.h"
#include "base/result.h"
#include "tokens/authorization.h"
#include "tokens/key.h"

namespace devid::identity {

/// Where a key and its certificate come from: the content of meta.json.
struct Provenance {
  std::string token;           ///< the name of the token that holds the key
  std::string key_protection;  ///< TokenDescription::kind: "tpm2"
  PublicKey public_key;
  KeyAuthorization authorization;  ///< that the key was made with
  std::string server;              ///< est::Endpoint::base
  JobKind method = JobKind::enroll;
  Time created;
  std::uint32_t certificates = 1;  ///< how many the key has had, with this one
  bool operator==(const Provenance&) const = default;
};

/// The JSON text of meta.json, version 1. The public key is PEM in it, the time seconds since the epoch.
std::string to_json(const Provenance& provenance);

/// The other way. What a newer devid adds is passed over, so that one that was rolled back reads it too: any version
/// from 1 on will do that has the members of version 1. Error: state_corrupt.
Result<Provenance> parse_provenance(std::string_view json);

}  // namespace devid::identity
