#pragma once

#include <map>
#include <string>
#include <string_view>

#include "agent/pki/certificate.h"
#include "base/result.h"

namespace devid::identity {

/// What specifiers stand for, by their letters: 'H' is the host's name. Those of systemd.unit(5) that say something of
/// the device: A, b, B, H, l, m, M, o, q, v, w, W.
using DeviceFacts = std::map<char, std::string>;

/// Asks the host. What it does not know is left out.
DeviceFacts read_device_facts();

/// Replaces each "%H" by the fact, and "%%" by a percent sign. "%{idevid.CN}" stays for resolve_idevid(), with a
/// control character in place of the percent sign, if it names an attribute of a subject. Error: config_invalid, for a
/// letter that is not known or that the host cannot tell.
Result<std::string> expand(std::string_view text, const DeviceFacts& facts);

/// Whether resolve_idevid() has something to do.
bool refers_to_idevid(std::string_view text);

/// Replaces what expand() left of each "%{idevid.TYPE}" by the first attribute of that type in the subject of the
/// IDevID. To be called once, on what expand() returned. Error: config_invalid, if there is no such attribute.
Result<std::string> resolve_idevid(std::string_view text, const pki::Certificate& idevid);

}  // namespace devid::identity
