#pragma once

#include <functional>
#include <vector>

#include "dbus/ctl/verbs.h"

namespace devid::ctl {

/// Starts jobs and follows them to their ends: prints a line for each phase as it happens and one for each result, or
/// one JSON document {"jobs": [{"identity", "result", "error"}]} at the end. `nothing` is printed where no job was
/// started. The exit code is that of the worst outcome.
Exit follow(Client& client, Format format, const std::string& nothing,
            const std::function<Result<std::vector<sdbus::ObjectPath>>()>& start);

/// Starts one job by calling `method` of the identity, and follows it.
Exit follow_one(Client& client, Format format, const JobRequest& request, const std::string& method);

}  // namespace devid::ctl
