#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agent/pki/cmc_syntax.h"
#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace devid::pki::cmc {

/// What a CA says became of a request, or of one part of it (RFC 5272 6.1.3).
enum class Status {
  success = 0,
  failed = 2,
  pending = 3,
  no_support = 4,
  confirm_required = 5,
  pop_required = 6,
  partial = 7
};

/// One CMCStatusInfo or CMCStatusInfoV2.
struct StatusReport {
  Status status = Status::failed;
  std::string text;                ///< the CA's own words, escaped
  std::string fail_info;           ///< "badIdentity"; the number, or the OID of an extended one, if it has no name here
  bool passes = false;             ///< the reason for the failure is one that goes by itself
  std::optional<Time> pend_until;  ///< when to ask again
};

/// The controls of a response that devid looks at (RFC 5272 6).
struct Controls {
  std::vector<StatusReport> statuses;
  std::optional<Bytes> recipient_nonce;
  std::optional<std::string> transaction;  ///< decimal
};

/// Reads them. Others are passed over. Error: answer_malformed, for a control that is not as it must be, one that is
/// there twice, or more than 16 statuses.
Result<Controls> read_controls(const PkiResponse& response);

/// "failed, badIdentity: no such device", for people.
std::string sentence(const StatusReport& report);

}  // namespace devid::pki::cmc
