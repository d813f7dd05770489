#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/identity/consumers.h"
#include "agent/identity/delivery.h"
#include "agent/identity/key_settings.h"
#include "agent/identity/renewal.h"
#include "agent/identity/server.h"
#include "agent/pki/acceptance.h"
#include "agent/pki/name.h"
#include "agent/pki/revocation.h"
#include "base/clock.h"

namespace devid::identity {

/// How long to wait after failures (backoff.h).
struct RetryPolicy {
  Seconds minimum{std::chrono::minutes(1)};
  Seconds maximum{std::chrono::hours(6)};
  bool operator==(const RetryPolicy&) const = default;
};

/// A certificate that the manufacturer left in the token: what Token::read_certificate takes.
struct InToken {
  std::string location;
  bool operator==(const InToken&) const = default;
};
/// A certificate in a file, PEM or DER; a PEM file may go on with the intermediates.
struct InFile {
  std::filesystem::path path;
  bool operator==(const InFile&) const = default;
};
using CertificateLocation = std::variant<InToken, InFile>;

/// Where the device's IDevID is, as far as the profile says it. What it leaves open is looked for (discovery.h).
struct IdevidLocation {
  std::string token;                               ///< empty: any
  std::string key;                                 ///< what Token::open_key_at takes, or "template:H-2"; empty: any
  std::optional<CertificateLocation> certificate;  ///< none: any
  bool allow_expired = false;
  bool operator==(const IdevidLocation&) const = default;
};

/// What one identity shall be: identities.d/NAME.toml of devid.toml(5), parsed into types. Files that it names are not
/// opened before a job needs them: they may be replaced at any time.
struct Profile {
  std::string name;
  std::filesystem::path file;  ///< where it was read from
  std::string token = "tpm";
  Server server;
  IdevidLocation idevid;
  KeySettings key;
  pki::Names names;  ///< an empty subject: the serialNumber of the IDevID's subject
  pki::NamePolicy name_policy = pki::NamePolicy::exact;
  std::map<std::string, std::string> facts;  ///< by dotted OID: what the server may ask of the device (/csrattrs)
  /// What the returned certificate must chain to; empty: what the server is trusted by.
  std::filesystem::path trust_anchors;
  pki::RevocationPolicy revocation = pki::RevocationPolicy::soft;  ///< of the identity's own certificate
  RenewalPolicy renewal;
  RetryPolicy retry;
  std::vector<UnitAction> after_rotation;
  FileSettings files;
  Copies copies;
  bool operator==(const Profile&) const = default;
};

/// The form of an identity's name: a lower-case letter or digit, then up to 62 more of these, '-' or '_'. Such a name
/// is safe as a file name, and cannot be mistaken for an option.
bool is_identity_name(std::string_view name);

}  // namespace devid::identity
