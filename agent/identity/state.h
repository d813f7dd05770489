#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/identity/consumers.h"
#include "agent/identity/job.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::identity {

/// What devid remembers about its attempts for one identity, across restarts: the content of state.json. Nothing of it
/// is needed for the credential to work: without it devid goes by the generations alone.
struct Record {
  std::uint64_t generation = 0;   ///< what `current` was when this was written; another one on disk makes it stale
  std::uint32_t attempts = 0;     ///< failed ones in a row; an attempt counts from its start until it succeeds
  std::uint32_t polls = 0;        ///< how often the pending request was answered with "later"
  std::uint32_t unanswered = 0;   ///< how often in a row the request on disk was presented without a usable answer
  std::optional<JobKind> method;  ///< of the last attempt
  std::optional<Time> last_attempt;
  std::optional<Time> last_success;
  std::optional<Time> next_attempt;     ///< after a failure, or of a pending request
  std::optional<Time> next_refresh;     ///< when to look at the CA's certificates and revocations again
  std::optional<Time> old_since;        ///< since when the first of the old generations is not current; none: not known
  std::optional<Time> old_until;        ///< when the first of them expires; likewise
  bool revoked = false;                 ///< the CA has taken the current certificate back
  std::optional<std::uint32_t> warned;  ///< what of expiry_warning() the journal has been told
  std::string begin_at;                 ///< est::Endpoint::base of the server that the next job begins with, or empty
  std::optional<Time> pending_since;    ///< the CA has accepted the request on disk and not issued yet
  std::optional<Error> last_error;      ///< without retry_after: next_attempt has it in
  std::vector<Told> consumers;          ///< how far it is with telling them of `generation`
};

/// The JSON text of state.json, version 1: times are seconds since the epoch, what is not there is left out.
std::string to_json(const Record& record);

/// The other way. Unknown members are passed over. Error: state_corrupt, also for a newer version: then the attempts
/// are counted anew and the next one is not put off, and nothing else is lost, as the generations and the request are
/// elsewhere.
Result<Record> parse_record(std::string_view text);

/// Reads a state.json. None if there is no such file. Errors: storage_failed, state_corrupt (also for what cannot be
/// opened).
Result<std::optional<Record>> read_record(const std::filesystem::path& path);

/// Writes it, atomically. Error: storage_failed.
Result<> write_record(const std::filesystem::path& path, const Record& record);

}  // namespace devid::identity
