#pragma once

#include "agent/agent.h"

namespace devid {

/// "2026-11-23 14:05:00 UTC", or "never".
std::string format_time(const std::optional<Time>& time);

/// One journal entry for the end of a job, with what it has cost; it ends in what happens next. None for a look that
/// has found nothing new: `before` is how the identity stood when the job ended, and `status` how it stands now.
void log_job(JobKind kind, const Result<JobResult>& result, const est::Traffic& traffic, const identity::Status& before,
             const identity::Status& status);

/// One entry for what an operator should know of, although the job goes on.
void log_notice(const std::string& identity, const Notice& notice);

/// One entry for a credential that comes near its expiry: what Agent::expiry_warnings says.
void log_expiry(const std::string& identity, const std::string& warning);

/// One entry for a unit that was told of a new generation, or could not be.
void log_told(const std::string& identity, const identity::UnitAction& action, const Result<>& outcome);

/// One entry for an attempt that does not wait any longer, as the network is back.
void log_network(const std::string& identity);

/// One entry for a network that cannot be watched: failures wait for their time then.
void log_network_unwatched(const Error& error);

/// One entry for a clock that was set.
void log_clock(Time now);

/// One entry for a configuration that was read again, or refused.
void log_reload(const Result<>& result);

/// One entry for a CA that an operator wants to be trusted.
void log_trust(const std::string& identity, const Result<identity::ServerAnchor>& result);

/// One entry for old generations that were taken away, or could not be.
void log_retired(const std::string& identity, const Result<std::vector<std::uint64_t>>& retired);

/// One entry for an identity that an operator rolled back.
void log_rollback(const std::string& identity, const Result<std::uint64_t>& result);

/// One entry for an identity that an operator had forgotten.
void log_forgotten(const std::string& identity, const Result<identity::Forgotten>& result);

/// One entry for a file of the configuration that is wrong at start.
void log_configuration_error(const Error& error);

}  // namespace devid
