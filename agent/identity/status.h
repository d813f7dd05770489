#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/identity/generation.h"
#include "agent/identity/profile.h"
#include "agent/identity/situation.h"
#include "agent/identity/trust_record.h"
#include "base/clock.h"
#include "base/error.h"

namespace devid::identity {

/// Where an identity stands (docs/ARCHITECTURE.md, "States").
enum class State { unenrolled, enrolling, pending, valid, renewing, degraded, expired, blocked, waiting_for_clock };

/// "unenrolled", "valid" …: the D-Bus property State.
std::string_view state_name(State state);

/// What the next step follows from (next_step.h), at whatever time somebody asks.
struct Outlook {
  Situation situation;
  Profile profile;
};

/// All that there is to say about one identity, as values: what D-Bus and devidctl show. Texts of foreign origin are
/// escaped. Everything from `subject` to `trust_anchors_file` is empty while there is no generation.
struct Status {
  std::string name;
  State state = State::unenrolled;
  std::string reason;  ///< a sentence: why it is in this state and what happens next
  std::uint64_t generation = 0;
  std::string subject;
  std::string issuer;
  std::string serial_number;
  std::string fingerprint;
  std::optional<Time> not_before;
  std::optional<Time> not_after;
  std::string key_uri;         ///< "file:/var/lib/devid/gateway/current/token-key.pem", or a PKCS#11 URI
  std::string key_algorithm;   ///< algorithm_name()
  std::string key_protection;  ///< "tpm2", "pkcs11"
  std::string certificate_file;
  std::string chain_file;
  std::string trust_anchors_file;
  /// When the next enrollment or renewal begins. None while the configuration is wrong.
  std::optional<Time> next_attempt;
  std::optional<Time> last_attempt;
  std::optional<Time> last_success;
  std::optional<Error> last_error;
  std::uint32_t attempts = 0;               ///< failed ones in a row
  std::optional<Outlook> outlook;           ///< none while the configuration is wrong
  std::vector<ServerAnchor> pending_trust;  ///< what Agent::trust() takes now
  std::vector<Told> consumers;              ///< units that are told of `generation`: Agent::told()
};

/// Writes what there is to say about a generation. `current` is the directory of that name, by which its files stay
/// known.
void describe(Status& status, const Generation& generation, const std::filesystem::path& current);

}  // namespace devid::identity
