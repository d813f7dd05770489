#pragma once

#include <variant>
#include <vector>

#include "tokens/key.h"

namespace devid {

/// The key signs for whoever reaches the token.
struct NoAuthorization {
  bool operator==(const NoAuthorization&) const = default;
};
/// The key wants the authorization value of devid's keys, which the token knows from its configuration.
struct AuthValue {
  bool operator==(const AuthValue&) const = default;
};
/// The key signs only while these platform configuration registers hold what they held when it was made (TPM 2.0 Part
/// 3, TPM2_PolicyPCR).
struct PcrPolicy {
  Digest bank = Digest::sha256;
  std::vector<unsigned> registers;  ///< ascending, 0 to 23, at least one
  bool operator==(const PcrPolicy&) const = default;
};
using KeyAuthorization = std::variant<NoAuthorization, AuthValue, PcrPolicy>;

}  // namespace devid
