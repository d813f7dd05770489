#pragma once

#include <filesystem>

#include "agent/identity/credential.h"
#include "agent/identity/discovery.h"
#include "agent/identity/job.h"
#include "base/result.h"

namespace devid::identity {

/// Opens the IDevID at a place, and checks that the certificate is for the key, and valid, unless it may be expired.
/// Errors: idevid_missing, idevid_mismatch, idevid_expired, and those of the token.
Result<Credential> open_idevid_at(const Search& search, const IdevidPlace& place);

/// Opens the device's IDevID for a job. Where the profile names key and certificate, there is nothing to look for.
/// Otherwise what discover() finds is remembered in the file `memory`, and opened directly by later jobs for as long as
/// the same key and certificate are there and the profile wants the same; a change is noticed, and so is an IDevID
/// that is expired. Errors: those of open_idevid_at() and discover().
Result<Credential> open_idevid(const Search& search, const std::filesystem::path& memory, JobObserver& observer);

}  // namespace devid::identity
