#pragma once

#include <filesystem>
#include <optional>

#include "agent/identity/job.h"
#include "agent/identity/profile.h"
#include "agent/pki/certificate.h"
#include "agent/pki/request_plan.h"
#include "base/result.h"

namespace devid::identity {

/// The hardware address of this host's first network device, as the names of devices are sorted, that is one of
/// hardware: "02:00:5e:10:00:01". None without such a device. `devices` is /sys/class/net, but for tests.
std::optional<std::string> mac_address(const std::filesystem::path& devices = "/sys/class/net");

/// What an identity would ask for by itself. `client` is the certificate that the device shows, if it shows one. The
/// default for the subject is the serial number that the IDevID has, and that a renewal finds in the current
/// certificate. Where the CA chooses the names, a renewal asks for those that it has chosen: they must not differ (RFC
/// 7030 4.2.2). What devid cannot ask for again is as in the profile. Error: config_invalid, if there is no name.
Result<pki::RequestWish> wish_of(const Profile& profile, JobKind kind, const std::optional<pki::Certificate>& client);

}  // namespace devid::identity
